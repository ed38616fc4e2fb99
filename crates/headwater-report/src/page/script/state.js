import { hasDiagonal, partOf, report } from "./data.js";
import { clamp } from "./numbers.js";

const firstNorms = (part) => Math.max(0, part.maps.findIndex(({ per_head: perHead }) => !perHead));

/** What is looked at. Layers are indices into the part's list of layers. */
export const state = {
  view: "map",
  text: 0,
  part: 0,
  measure: 0,
  layer: 0,
  /** A head, or null for the mean over heads. */
  head: null,
  /** The cell that the cursor is on: target and source. */
  row: 0,
  column: 0,
  rowsNormalised: false,
  /** Whether colours mean the same in all layers. */
  sharedScale: false,
  /** Whether the diagonal counts when colours are chosen. */
  diagonalCounts: true,
  /** takes: what the selected token takes from others; gives: what it gives them. */
  direction: "takes",
  before: 0,
  after: 0,
  ratio: 0,
  statistic: "mean",
  theme: null,
};

const listeners = [];

/** Calls `listener(changed)` after each change, with the names of what changed. */
export function onChange(listener) {
  listeners.push(listener);
}

/** Changes the state, within what the report has. */
export function change(changes) {
  const before = { ...state };
  Object.assign(state, changes);
  const { text } = partOf({ ...state, part: 0 });
  state.part = clamp(state.part, 0, text.parts.length - 1);
  const { part, rows, columns } = partOf(state);
  if (state.part !== before.part) Object.assign(state, firstOf(part));
  const last = (list) => list.length - 1;
  state.layer = clamp(state.layer, 0, last(part.layers));
  state.measure = clamp(state.measure, 0, last(part.maps));
  state.ratio = clamp(state.ratio, 0, last(part.ratios));
  state.row = clamp(state.row, 0, last(rows));
  state.column = clamp(state.column, 0, last(columns));
  if (!hasDiagonal(part)) state.diagonalCounts = true;
  const changed = Object.keys(state).filter((name) => state[name] !== before[name]);
  if (changed.length > 0) for (const listener of listeners) listener(new Set(changed));
}

/** The maps of scopes, in order: what before and after are chosen from. */
export function scopeMaps(part) {
  return part.maps.map((_, index) => index).filter((index) => !part.maps[index].per_head);
}

/** What is looked at first of a part. */
function firstOf(part) {
  const scopes = scopeMaps(part);
  return {
    measure: firstNorms(part),
    before: scopes[0] ?? 0,
    after: scopes[Math.min(2, scopes.length - 1)] ?? 0,
    // The baselines on attention weights come first; the first scope follows them.
    ratio: Math.max(0, part.ratios.findIndex(({ id }) => !id.endsWith("_w"))),
  };
}

/** The first view of a report: whatever it has. */
export function openingState() {
  const part = report.texts[0].parts[0];
  return { view: part.maps.length > 0 ? "map" : "mixing", row: 1, ...firstOf(part) };
}
