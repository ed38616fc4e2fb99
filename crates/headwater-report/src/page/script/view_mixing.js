import { choice } from "./controls.js";
import { loadRatios, partOf } from "./data.js";
import { element, tokenName } from "./elements.js";
import { Heatmap } from "./heatmap.js";
import { legend } from "./legend.js";
import { measureName, scopeOf } from "./names.js";
import { decimal, percent, sum } from "./numbers.js";
import { change, state } from "./state.js";

/** How much of each token's new representation comes from others, layer by layer. */
export class MixingView {
  constructor() {
    this.map = new Heatmap({
      label: "Mixing ratio by layer (rows) and token (columns); arrow keys move the cursor",
      onMove: (row, column) => this.#tell(row, column),
      onSelect: (row, column) => change({ layer: row, row: column }),
      rowTitle: "layer",
      columnTitle: "token",
    });
    this.heading = element("h2", { class: "sentence" });
    this.readout = element("p", { class: "text-readout", "aria-live": "polite" });
    this.legend = element("div");
    this.means = element("ol", { class: "means" });
    this.root = element("div", { class: "reading" }, this.heading, this.map.root, this.readout, this.legend,
      element("h3", {}, "Mean over tokens"), this.means);
    this.controls = [
      choice({
        label: "Measured on",
        name: "ratio",
        dependsOn: ["text", "part"],
        options: () =>
          partOf(state).part.ratios.map(({ id }, value) =>
            ({ value, label: scopeOf(id), title: measureName(id) })),
      }),
    ];
  }

  prepare() {
    return loadRatios(state);
  }

  show(ratios) {
    const { part, rows } = partOf(state);
    this.ratios = ratios;
    const { id } = part.ratios[state.ratio];
    this.heading.replaceChildren(`Mixing ratio: ${measureName(id)}`);
    this.map.draw({
      map: ratios,
      limit: ratios.max,
      rowNames: part.layers.map(String),
      columnNames: rows,
      width: this.root.clientWidth,
      maxCell: 40,
      rowHeight: 24,
    });
    this.legend.replaceChildren(legend({
      title: "mixing / (mixing + preserving)",
      limit: ratios.max,
      format: (value) => percent(value),
    }));
    const ofLayers = part.layers.map((layer, index) => {
      const ofLayer = ratios.values.subarray(index * ratios.columns, (index + 1) * ratios.columns);
      return { layer, mean: sum(ofLayer) / ratios.columns };
    });
    const top = Math.max(...ofLayers.map(({ mean }) => mean));
    this.means.replaceChildren(...ofLayers.map(({ layer, mean }) => {
      const bar = element("i", {});
      bar.style.width = `${top > 0 ? (100 * mean) / top : 0}%`;
      return element("li", {}, `Layer ${layer}`, element("span", { class: "track" }, bar),
        element("span", { class: "figure" }, percent(mean)));
    }));
    this.map.point(state.layer, state.row);
    this.#tell(state.layer, state.row);
  }

  #tell(layer, token) {
    const { part, rows } = partOf(state);
    const value = this.ratios.values[layer * this.ratios.columns + token];
    const shown = decimal(value, this.ratios.decimals());
    this.readout.replaceChildren(
      `Layer ${part.layers[layer]}, `, tokenName(rows[token], token), ": ",
      element("b", { "data-value": shown }, shown));
  }
}
