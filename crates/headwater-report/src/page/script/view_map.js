import { choice, list, toggle } from "./controls.js";
import { hasDiagonal, loadMap, partOf, report } from "./data.js";
import { element, tokenName } from "./elements.js";
import { Heatmap } from "./heatmap.js";
import { legend } from "./legend.js";
import { clamp, decimal, percent, sum } from "./numbers.js";
import { measureName, quantityName } from "./names.js";
import { drawn } from "./scale.js";
import { change, state } from "./state.js";

/** Cells to each side of the cursor in the close-up. */
const REACH = 8;
/** Maps of more tokens than this have a close-up. */
const CROWDED = 48;
const STRONGEST = 6;

export const measureOptions = () =>
  partOf(state).part.maps.map(({ id, per_head: perHead }, value) =>
    ({ value, label: perHead ? quantityName(id) : measureName(id) }));

export const layerChoice = () =>
  choice({
    label: "Layer",
    name: "layer",
    dependsOn: ["text", "part"],
    options: () => partOf(state).part.layers.map((layer, value) => ({ value, label: String(layer) })),
  });

/** The controls that say how a map becomes colours. */
export const scaleToggles = () => [
  toggle({
    label: "rows normalised",
    name: "rowsNormalised",
    title: "Divide each row by its sum: shares of what a target takes",
  }),
  toggle({
    label: "same colours in all layers",
    name: "sharedScale",
    title: "Colours reach to the largest value of all layers, so that layers can be compared",
  }),
  toggle({
    label: "colours without the diagonal",
    name: "diagonalCounts",
    inverted: true,
    title: "Colours reach to the largest value between two different tokens",
    shown: () => hasDiagonal(partOf(state).part),
  }),
];

/** A map's value as it is known, and its share of the row. */
export function describe(map, row, column) {
  const { columns, values } = map;
  const ofRow = values.subarray(row * columns, (row + 1) * columns);
  const total = sum(ofRow);
  const value = values[row * columns + column];
  return {
    value: decimal(value, map.decimals(row, column)),
    share: total > 0 ? value / total : 0,
    ofRow,
    total,
  };
}

/** Maps of one layer, measure and head. */
export class MapView {
  constructor() {
    const move = (row, column) => change({ row, column });
    this.map = new Heatmap({
      label: "Map of targets (rows) and sources (columns); arrow keys move the cursor",
      onMove: move,
      rowTitle: "target",
      columnTitle: "source",
    });
    this.near = new Heatmap({
      label: "Close-up around the cursor",
      onMove: (row, column) => move(row + this.window.row, column + this.window.column),
      rowTitle: "target",
      columnTitle: "source",
    });
    this.readout = element("section", { class: "readout", "aria-live": "polite", "aria-label": "Value" });
    this.legend = element("div");
    this.closeUp = element("section", { class: "close-up" },
      element("h3", {}, "Around the cursor"), this.near.root);
    this.stage = element("div", { class: "stage" }, this.map.root);
    this.root = element("div", { class: "split" }, this.stage,
      element("aside", {}, this.readout, this.legend, this.closeUp));
    this.controls = [
      layerChoice(),
      list({ label: "Map", name: "measure", dependsOn: ["text", "part"], options: measureOptions }),
      choice({
        label: "Head",
        name: "head",
        dependsOn: ["text", "part", "measure"],
        options: () => {
          const { part } = partOf(state);
          if (!part.maps[state.measure]?.per_head) return [];
          const heads = Array.from({ length: part.heads }, (_, head) => ({ value: head, label: String(head) }));
          return [{ value: null, label: "mean" }, ...heads];
        },
      }),
      ...scaleToggles(),
    ];
  }

  async prepare() {
    const { part } = partOf(state);
    const head = part.maps[state.measure].per_head ? state.head : null;
    return loadMap({ ...state, head });
  }

  show(map) {
    const { part, rows, columns } = partOf(state);
    this.loaded = map;
    this.drawing = drawn(map, part, state.measure, state);
    const { values, limit, overflows } = this.drawing;
    const available = this.stage.clientWidth;
    // As large as the window is high, but never less than a pixel a token.
    const high = Math.max(window.innerHeight - 230, 420, map.columns + 100);
    this.map.draw({
      map: { ...map, values },
      limit,
      rowNames: rows,
      columnNames: columns,
      width: Math.min(available, high),
      maxCell: 30,
    });
    const { id } = part.maps[state.measure];
    const title = `${quantityName(id)}${state.rowsNormalised ? ", share of the row" : ""}`;
    this.legend.replaceChildren(legend({
      title,
      limit,
      overflows,
      format: state.rowsNormalised ? (value) => percent(value) : undefined,
    }));
    this.follow();
  }

  /** The cursor has moved: everything but the map itself. */
  follow() {
    const map = this.loaded;
    const { rows, columns } = partOf(state);
    const { row, column } = state;
    this.map.point(row, column);
    const { value, share, ofRow, total } = describe(map, row, column);
    const order = Array.from(ofRow.keys()).sort((a, b) => ofRow[b] - ofRow[a]).slice(0, STRONGEST);
    const strongest = order.map((source) => {
      const bar = element("i", {});
      bar.style.width = `${total > 0 ? (100 * ofRow[source]) / ofRow[order[0]] : 0}%`;
      return element("li", {},
        tokenName(columns[source], source),
        element("span", { class: "track" }, bar),
        element("span", { class: "figure" }, percent(total > 0 ? ofRow[source] / total : 0)));
    });
    this.readout.replaceChildren(
      element("p", { class: "pair" }, tokenName(rows[row], row), " takes from ", tokenName(columns[column], column)),
      element("p", { class: "value", "data-value": value }, value),
      element("p", { class: "share" }, `${percent(share, 2)} of the row's sum`),
      element("h3", {}, "Strongest sources of ", tokenName(rows[row], row)),
      element("ol", { class: "strongest" }, ...strongest),
    );
    this.#closeUp();
  }

  #closeUp() {
    const map = this.loaded;
    const crowded = Math.max(map.rows, map.columns) > CROWDED;
    this.closeUp.hidden = !crowded;
    if (!crowded) return;
    const side = 2 * REACH + 1;
    const first = (at, count) => clamp(at - REACH, 0, Math.max(0, count - side));
    this.window = { row: first(state.row, map.rows), column: first(state.column, map.columns) };
    const [height, width] = [Math.min(side, map.rows), Math.min(side, map.columns)];
    const values = new Float32Array(height * width);
    for (let i = 0; i < values.length; i++) {
      const row = this.window.row + Math.floor(i / width);
      values[i] = this.drawing.values[row * map.columns + this.window.column + (i % width)];
    }
    const { rows, columns } = partOf(state);
    this.near.draw({
      map: { rows: height, columns: width, values },
      limit: this.drawing.limit,
      rowNames: rows.slice(this.window.row),
      columnNames: columns.slice(this.window.column),
      width: Math.min(330, this.stage.clientWidth),
    });
    this.near.point(state.row - this.window.row, state.column - this.window.column);
  }

  isAvailable() {
    return report.texts[state.text].parts[state.part].maps.length > 0;
  }
}
