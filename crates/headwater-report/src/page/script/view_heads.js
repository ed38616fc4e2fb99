import { loadMap, partOf } from "./data.js";
import { element } from "./elements.js";
import { picture } from "./heatmap.js";
import { legend } from "./legend.js";
import { quantityName } from "./names.js";
import { largest, rounded } from "./numbers.js";
import { drawn } from "./scale.js";
import { change, state } from "./state.js";
import { layerChoice, scaleToggles } from "./view_map.js";

const SIDE = 150;

const withHeads = (part) =>
  part.maps.map((_, index) => index).filter((index) => part.maps[index].per_head);

/** All heads of a layer: attention weights beside weighted norms. */
export class HeadsView {
  constructor() {
    this.grid = element("div", { class: "heads" });
    this.legends = element("div", { class: "legends" });
    this.root = element("div", { class: "reading" },
      element("p", { class: "text-readout" },
        "Rows are targets, columns are sources. Colours are the same for all heads. Select a map to see it large."),
      this.grid, this.legends);
    this.controls = [layerChoice(), ...scaleToggles()];
  }

  async prepare() {
    const { part } = partOf(state);
    const heads = Array.from({ length: part.heads }, (_, head) => head);
    return Promise.all(withHeads(part).map(async (measure) => ({
      measure,
      maps: await Promise.all(heads.map((head) => loadMap({ ...state, measure, head }))),
    })));
  }

  show(measures) {
    const { part } = partOf(state);
    const drawings = measures.map(({ measure, maps }) => {
      const ofHeads = maps.map((map) => drawn(map, part, measure, state));
      const limit = Math.max(...ofHeads.map((drawing) => drawing.limit));
      return { measure, maps, ofHeads, limit };
    });
    const cards = Array.from({ length: part.heads }, (_, head) =>
      element("section", { class: "head" }, element("h3", {}, `Head ${head}`),
        element("div", { class: "pair-of-maps" },
          ...drawings.map((drawing) => this.#thumbnail(part, drawing, head)))));
    this.grid.replaceChildren(...cards);
    this.legends.replaceChildren(...drawings.map(({ measure, limit, ofHeads }) =>
      legend({ title: quantityName(part.maps[measure].id), limit, overflows: ofHeads[0].overflows })));
  }

  #thumbnail(part, { measure, maps, ofHeads, limit }, head) {
    const map = { ...maps[head], values: ofHeads[head].values };
    const image = picture(map, limit, "sequential");
    const canvas = element("canvas", { "aria-hidden": "true" });
    const ratio = window.devicePixelRatio || 1;
    const scale = SIDE / Math.max(map.rows, map.columns);
    canvas.width = Math.max(1, Math.round(map.columns * scale * ratio));
    canvas.height = Math.max(1, Math.round(map.rows * scale * ratio));
    canvas.style.width = `${map.columns * scale}px`;
    canvas.style.height = `${map.rows * scale}px`;
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = scale * ratio < 1;
    context.imageSmoothingQuality = "high";
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    const name = quantityName(part.maps[measure].id);
    return element("button", {
      type: "button",
      class: "thumbnail",
      "aria-label": `${name} of head ${head}, largest ${rounded(maps[head].max)}`,
      title: name,
      onclick: () => change({ view: "map", measure, head }),
    }, canvas, element("span", { class: "figure" }, `max ${rounded(largest(map.values))}`));
  }
}
