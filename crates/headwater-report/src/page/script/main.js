import { list } from "./controls.js";
import { report } from "./data.js";
import { byId, element } from "./elements.js";
import { KEYS, listen } from "./keyboard.js";
import { change, onChange, openingState, state } from "./state.js";
import { followTheme, isDark } from "./theme.js";
import { CompareView } from "./view_compare.js";
import { HeadsView } from "./view_heads.js";
import { MapView } from "./view_map.js";
import { MixingView } from "./view_mixing.js";
import { StatisticsView } from "./view_statistics.js";
import { TextView } from "./view_text.js";

change(openingState());

const { parts } = report.texts[0];
const hasMaps = parts[0].maps.length > 0;
const perHead = parts[0].maps.filter((maps) => maps.per_head).length;

/** The views that the report has something for, in the order of their tabs. */
const VIEWS = [
  { id: "map", label: "Map", View: MapView, there: hasMaps },
  { id: "text", label: "Text", View: TextView, there: hasMaps },
  { id: "mixing", label: "Mixing", View: MixingView, there: parts[0].ratios.length > 0 },
  { id: "compare", label: "Before and after", View: CompareView, there: parts[0].maps.length - perHead > 1 },
  { id: "heads", label: "Heads", View: HeadsView, there: perHead > 0 },
  { id: "statistics", label: "Statistics", View: StatisticsView, there: true },
].filter(({ there }) => there);

const made = new Map();

/** A view is made when it is first looked at. */
function viewOf(id) {
  if (!made.has(id)) {
    const { View } = VIEWS.find((view) => view.id === id);
    made.set(id, new View());
  }
  return made.get(id);
}

function showTab() {
  const view = viewOf(state.view);
  byId("controls").replaceChildren(...view.controls);
  byId("view").replaceChildren(view.root);
  byId("view").setAttribute("aria-labelledby", `tab-${state.view}`);
  for (const tab of byId("tabs").children) {
    const chosen = tab.id === `tab-${state.view}`;
    tab.setAttribute("aria-selected", String(chosen));
    tab.tabIndex = chosen ? 0 : -1;
  }
}

let drawing = 0;

/** Draws the view, unless something newer has been asked for meanwhile. */
async function draw() {
  const mine = ++drawing;
  const view = viewOf(state.view);
  byId("view").setAttribute("aria-busy", "true");
  try {
    const data = await view.prepare();
    if (mine !== drawing) return;
    view.show(data);
    byId("failure").hidden = true;
  } catch (error) {
    console.error(error);
    byId("failure").textContent = error.message;
    byId("failure").hidden = false;
  }
  byId("view").removeAttribute("aria-busy");
  document.dispatchEvent(new CustomEvent("drawn"));
}

function describeText() {
  const { model, architecture, dtype, tokens, parts: ofText } = report.texts[state.text];
  const { layers, heads } = ofText[state.part];
  const facts = [
    `${architecture} ${model}`.trim(),
    `${tokens.map((list) => list.length).join(" and ")} tokens`,
    `${layers.length} layers${heads > 0 ? ` of ${heads} heads` : ""}`,
    `computed in ${dtype}`,
  ];
  byId("text-name").textContent = report.title;
  byId("facts").textContent = facts.join(" · ");
}

function makeTabs() {
  const tabs = byId("tabs");
  for (const { id, label } of VIEWS) {
    tabs.append(element("button", {
      type: "button",
      role: "tab",
      id: `tab-${id}`,
      "aria-controls": "view",
      onclick: () => change({ view: id }),
    }, label));
  }
  tabs.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    const place = VIEWS.findIndex(({ id }) => id === state.view);
    change({ view: VIEWS[(place + by + VIEWS.length) % VIEWS.length].id });
    byId(`tab-${state.view}`).focus();
  });
}

document.title = `${report.title} – Headwater`;
byId("version").textContent = report.version;
byId("choose-text").append(list({
  label: "Text",
  name: "text",
  options: () => report.texts.map(({ name }, value) => ({ value, label: name })),
}));
byId("keys").append(...KEYS.flatMap(([key, meaning]) =>
  [element("dt", {}, key), element("dd", {}, meaning)]));
byId("theme").addEventListener("click", () => change({ theme: isDark() ? "light" : "dark" }));

makeTabs();
describeText();
followTheme(byId("theme"), draw);
showTab();
listen(VIEWS, isDark);
byId("choose-text").append(list({
  label: "Part",
  name: "part",
  dependsOn: ["text"],
  options: () => report.texts[state.text].parts.map(({ name }, value) => ({ value, label: name })),
}));
onChange((changed) => {
  if (changed.has("theme")) return;
  if (changed.has("text") || changed.has("part")) describeText();
  if (changed.has("view")) showTab();
  const view = viewOf(state.view);
  const cursorOnly = [...changed].every((name) => name === "row" || name === "column");
  if (cursorOnly && view.follow && view.loaded) view.follow();
  else draw();
});
let resized;
window.addEventListener("resize", () => {
  clearTimeout(resized);
  resized = setTimeout(draw, 100);
});
draw();
