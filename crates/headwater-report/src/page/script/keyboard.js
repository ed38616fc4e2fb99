import { partOf } from "./data.js";
import { change, scopeMaps, state } from "./state.js";

/** The keys, for the page's help. */
export const KEYS = [
  ["1 … 6", "the views"],
  ["l, L", "next layer, layer before"],
  ["s, S", "next map, map before (scopes)"],
  ["h, H", "next head, head before"],
  ["arrow keys", "the cursor, in the map that has the focus; with Shift ten at once"],
  ["n", "rows normalised"],
  ["c", "same colours in all layers"],
  ["d", "colours without the diagonal"],
  ["t", "light or dark"],
];

function turn(value, by, count) {
  return (value + by + count) % count;
}

function nextHead(by) {
  const { part } = partOf(state);
  if (!part.maps[state.measure]?.per_head) return {};
  // The mean comes before the first head.
  const place = turn((state.head ?? -1) + 1, by, part.heads + 1);
  return { head: place === 0 ? null : place - 1 };
}

function nextMap(by) {
  const { part } = partOf(state);
  if (state.view === "mixing") return { ratio: turn(state.ratio, by, part.ratios.length) };
  if (state.view !== "compare") return { measure: turn(state.measure, by, part.maps.length) };
  const scopes = scopeMaps(part);
  return { after: scopes[turn(scopes.indexOf(state.after), by, scopes.length)] };
}

/** Listens for keys anywhere but in a list, where letters choose an entry. */
export function listen(views, isDark) {
  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target.tagName === "SELECT") return;
    const by = event.shiftKey ? -1 : 1;
    const view = views[Number(event.key) - 1];
    const changes = {
      l: () => ({ layer: turn(state.layer, by, partOf(state).part.layers.length) }),
      s: () => nextMap(by),
      h: () => nextHead(by),
      n: () => ({ rowsNormalised: !state.rowsNormalised }),
      c: () => ({ sharedScale: !state.sharedScale }),
      d: () => ({ diagonalCounts: !state.diagonalCounts }),
      t: () => ({ theme: isDark() ? "light" : "dark" }),
    }[event.key.toLowerCase()];
    if (view) change({ view: view.id });
    else if (changes) change(changes());
  });
}
