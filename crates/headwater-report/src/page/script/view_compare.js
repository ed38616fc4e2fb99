import { list } from "./controls.js";
import { hasDiagonal, loadMap, loadRatios, partOf } from "./data.js";
import { element, tokenName } from "./elements.js";
import { Heatmap } from "./heatmap.js";
import { legend } from "./legend.js";
import { measureName, scopeOf } from "./names.js";
import { decimal, largest, percent, sum } from "./numbers.js";
import { drawn } from "./scale.js";
import { change, scopeMaps, state } from "./state.js";
import { layerChoice, scaleToggles } from "./view_map.js";

/** What the last component of a scope is. */
const LAST = { res: "residual connection", ln: "normalization", ff: "feed-forward", atb: null };

/** Steps from one scope to the next, and over the whole feed-forward block. */
function steps(part) {
  const scopes = scopeMaps(part);
  const name = (index) => scopeOf(part.maps[index].id);
  const made = scopes.slice(1).map((after, index) => {
    const before = scopes[index];
    const last = name(after).split("_").at(-1);
    // The attention block ends with its normalization, or before it with its residual connection.
    const ofBlock = name(before) === "attn_res" ? LAST.ln : LAST.res;
    return { label: LAST[last] ?? ofBlock, before, after };
  });
  const block = scopes.find((index) => name(index) === "atb");
  const whole = scopes.at(-1);
  if (block !== undefined && whole - block > 1) {
    made.push({ label: "feed-forward block, whole", before: block, after: whole });
  }
  return made;
}

/** Two scopes of a layer and what lies between them. */
export class CompareView {
  constructor() {
    const map = (label, kind) =>
      new Heatmap({
        label: `${label}; arrow keys move the cursor`,
        kind,
        onMove: (row, column) => change({ row, column }),
        rowTitle: "target",
        columnTitle: "source",
      });
    this.maps = [map("Before"), map("After"), map("After minus before", "diverging")];
    this.titles = this.maps.map(() => element("h3", {}));
    this.legends = this.maps.map(() => element("div"));
    this.figures = element("div", { class: "triple" },
      ...this.maps.map(({ root }, i) => element("section", {}, this.titles[i], root, this.legends[i])));
    this.readout = element("p", { class: "text-readout", "aria-live": "polite" });
    this.mixing = element("p", { class: "text-readout" });
    this.root = element("div", { class: "reading" }, this.figures, this.readout, this.mixing);
    this.shortcuts = element("div", { class: "chips" });
    const scopeOptions = () =>
      scopeMaps(partOf(state).part).map((value) =>
        ({ value, label: measureName(partOf(state).part.maps[value].id) }));
    this.controls = [
      layerChoice(),
      element("fieldset", { class: "choice" }, element("legend", {}, "What was done by the"), this.shortcuts),
      list({ label: "Before", name: "before", dependsOn: ["text", "part"], options: scopeOptions }),
      list({ label: "After", name: "after", dependsOn: ["text", "part"], options: scopeOptions }),
      ...scaleToggles(),
    ];
  }

  async prepare() {
    const load = (measure) => loadMap({ ...state, measure, head: null });
    return Promise.all([load(state.before), load(state.after), this.#meanRatios()]);
  }

  /** The mean mixing ratio at both scopes, if the report has it. */
  async #meanRatios() {
    const { part } = partOf(state);
    const mean = async (measure) => {
      const scope = scopeOf(part.maps[measure].id);
      const ratio = part.ratios.findIndex(({ id }) => scopeOf(id) === scope);
      if (ratio < 0) return null;
      const { values, columns } = await loadRatios({ ...state, ratio });
      return sum(values.subarray(state.layer * columns, (state.layer + 1) * columns)) / columns;
    };
    return Promise.all([mean(state.before), mean(state.after)]);
  }

  show([before, after, ratios]) {
    const { part, rows, columns } = partOf(state);
    this.loaded = [before, after];
    const drawings = [
      drawn(before, part, state.before, state),
      drawn(after, part, state.after, state),
    ];
    const values = drawings[1].values.map((value, i) => value - drawings[0].values[i]);
    const own = (i) => Math.floor(i / before.columns) === i % before.columns;
    const counts = state.diagonalCounts || !hasDiagonal(part);
    const changes = values.map((value, i) => (counts || !own(i) ? Math.abs(value) : 0));
    const both = Math.max(drawings[0].limit, drawings[1].limit);
    const { overflows } = drawings[0];
    const format = state.rowsNormalised ? (value) => percent(value) : undefined;
    const figures = [
      { values: drawings[0].values, limit: both, overflows },
      { values: drawings[1].values, limit: both, overflows },
      { values, limit: largest(changes), overflows: false },
    ];
    const names = [
      `Before: ${scopeOf(part.maps[state.before].id)}`,
      `After: ${scopeOf(part.maps[state.after].id)}`,
      "After − before",
    ];
    this.#shortcuts(part);
    const width = Math.max(this.figures.clientWidth / 3 - 20, Math.min(260, this.figures.clientWidth));
    this.maps.forEach((map, i) => {
      this.titles[i].textContent = names[i];
      map.draw({
        map: { ...before, values: figures[i].values },
        limit: figures[i].limit,
        rowNames: rows,
        columnNames: columns,
        width,
      });
      const title = i < 2 ? "norms ‖y‖, same colours in both" : "difference";
      this.legends[i].replaceChildren(legend({ title, format, kind: map.kind, ...figures[i] }));
    });
    this.mixing.textContent = ratios.includes(null)
      ? ""
      : `Mixing ratio, mean over tokens: ${percent(ratios[0])} before, ${percent(ratios[1])} after.`;
    this.follow();
  }

  follow() {
    const { row, column } = state;
    const { rows, columns } = partOf(state);
    for (const map of this.maps) map.point(row, column);
    const [before, after] = this.loaded;
    const at = row * before.columns + column;
    const decimals = Math.min(before.decimals(row, column), after.decimals(row, column));
    const figure = (map) => {
      const value = decimal(map.values[at], map.decimals(row, column));
      return element("b", { "data-value": value }, value);
    };
    const difference = after.values[at] - before.values[at];
    this.readout.replaceChildren(
      tokenName(rows[row], row), " takes from ", tokenName(columns[column], column), ": ",
      figure(before), " before, ", figure(after), " after, ",
      `${difference < 0 ? "−" : "+"}${decimal(Math.abs(difference), decimals)}`);
  }

  #shortcuts(part) {
    this.shortcuts.replaceChildren(...steps(part).map(({ label, before, after }) => {
      const pressed = state.before === before && state.after === after;
      return element("button", {
        type: "button",
        class: "chip-button",
        "aria-pressed": String(pressed),
        title: `${scopeOf(part.maps[before].id)} → ${scopeOf(part.maps[after].id)}`,
        onclick: () => change({ before, after }),
      }, label);
    }));
  }
}
