import { choice, list } from "./controls.js";
import { hasDiagonal, loadMap, partOf } from "./data.js";
import { stretches } from "./direction.js";
import { element, tokenName } from "./elements.js";
import { Heatmap } from "./heatmap.js";
import { legend } from "./legend.js";
import { quantityName } from "./names.js";
import { clamp, largest, percent } from "./numbers.js";
import { PALETTES } from "./palette.js";
import { drawn } from "./scale.js";
import { change, state } from "./state.js";
import { isDark } from "./theme.js";
import { describe, layerChoice, measureOptions, scaleToggles } from "./view_map.js";

/**
 * How a token stands in running text: `{ text, joined }`, without the marks by
 * which WordPiece, byte-level and SentencePiece vocabularies say what belongs
 * together.
 */
export function running(tokens) {
  const marked = ["Ġ", "▁"].find((mark) => tokens.some((token) => token.startsWith(mark)));
  return tokens.map((token) => {
    if (marked) {
      const begins = token.startsWith(marked);
      return { text: begins ? token.slice(1) || " " : token, joined: !begins };
    }
    const continues = token.startsWith("##") && token.length > 2;
    return { text: continues ? token.slice(2) : token, joined: continues };
  });
}

/** The selected token's row or column of a map: what it takes, or gives. */
function slice(values, columns, direction, selected) {
  if (direction === "takes") return values.slice(selected * columns, (selected + 1) * columns);
  const rows = values.length / columns;
  return Float32Array.from({ length: rows }, (_, row) => values[row * columns + selected]);
}

const takes = () => state.direction === "takes";
const selectedToken = () => (takes() ? state.row : state.column);
const select = (index) => change(takes() ? { row: index } : { column: index });

/** The text, shaded by what each token gives to, or takes from, the selected one. */
export class TextView {
  constructor() {
    this.heading = element("h2", { class: "sentence" });
    this.flow = element("div", { class: "flow", role: "group", "aria-label": "The text; arrow keys select a token" });
    this.flow.addEventListener("keydown", (event) => this.#key(event));
    this.readout = element("p", { class: "text-readout", "aria-live": "polite" });
    this.legend = element("div");
    this.strip = new Heatmap({
      label: "All layers by token; arrow keys move, Enter selects the layer",
      onMove: (row, column) => this.#tellStrip(row, column),
      onSelect: (row) => change({ layer: row }),
      rowTitle: "layer",
      columnTitle: "token",
    });
    this.strip.root.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && this.strip.cursor) change({ layer: this.strip.cursor.row });
    });
    this.stripReadout = element("p", { class: "text-readout", "aria-live": "polite" });
    this.stripHeading = element("h3", {});
    this.root = element("div", { class: "reading" }, this.heading, this.flow, this.readout, this.legend,
      this.stripHeading, this.strip.root, this.stripReadout);
    this.controls = [
      choice({
        label: "The selected token",
        name: "direction",
        options: () => [
          { value: "takes", label: "takes from" },
          { value: "gives", label: "gives to" },
        ],
      }),
      layerChoice(),
      list({ label: "Map", name: "measure", dependsOn: ["text", "part"], options: measureOptions }),
      ...scaleToggles(),
    ];
    this.drawings = 0;
  }

  async prepare() {
    return this.#load(state.layer);
  }

  /** Heads are averaged here: a reader asks about tokens. */
  #load(layer) {
    return loadMap({ ...state, layer, head: null });
  }

  show(map) {
    const { part, rows, columns } = partOf(state);
    this.map = map;
    const { values, limit, overflows } = drawn(map, part, state.measure, state);
    const tokens = takes() ? columns : rows;
    const selected = selectedToken();
    const amounts = slice(values, map.columns, state.direction, selected);
    const own = hasDiagonal(part) ? selected : -1;
    const scale = state.sharedScale ? limit : this.#limit(amounts, own);
    const name = tokenName((takes() ? rows : columns)[selected], selected);
    this.heading.replaceChildren(
      ...(takes() ? ["What ", name, " takes from each token"] : ["What each token takes from ", name]));
    this.#flow(tokens, amounts, scale, own);
    const title = `${quantityName(part.maps[state.measure].id)}${state.rowsNormalised ? ", share of the row" : ""}`;
    this.legend.replaceChildren(legend({
      title: part.maps[state.measure].per_head ? `${title}, mean over heads` : title,
      limit: scale,
      overflows,
      format: state.rowsNormalised ? (value) => percent(value) : undefined,
    }));
    this.#tell(own >= 0 ? own : 0);
    this.#allLayers(own);
  }

  #limit(amounts, own) {
    if (state.diagonalCounts) return largest(amounts);
    return largest(amounts.filter((_, index) => index !== own));
  }

  #flow(tokens, amounts, limit, own) {
    const palette = PALETTES[isDark() ? "dark" : "light"].sequential;
    const focused = this.flow.contains(document.activeElement);
    const shown = running(tokens);
    const buttons = tokens.map((token, index) => {
      const t = limit > 0 ? Math.min(1, amounts[index] / limit) : 0;
      const button = element("button", {
        type: "button",
        class: `token${shown[index].joined ? " joined" : ""}${index === own ? " selected" : ""}`,
        tabindex: index === (own >= 0 ? own : 0) ? "0" : "-1",
        "aria-pressed": String(index === own),
        "data-index": String(index),
        dir: "auto",
        onclick: () => own >= 0 && select(index),
        onpointerenter: () => this.#tell(index),
        onfocus: () => this.#tell(index),
      }, shown[index].text);
      button.style.backgroundColor = palette.css(t);
      button.style.color = palette.isLight(t) ? "#14181c" : "#fdfcfa";
      return button;
    });
    const { whole, found } = stretches(shown.map(({ text }) => text));
    this.flow.dir = whole;
    this.flow.replaceChildren(...found.flatMap(({ from, to, direction }) => {
      // A space between words belongs to neither.
      const space = from > 0 && !shown[from].joined ? [" "] : [];
      const inside = buttons.slice(from, to).flatMap((button, index) =>
        (index > 0 && !shown[from + index].joined ? [" ", button] : [button]));
      return [...space, ...(direction ? [element("span", { dir: direction }, ...inside)] : inside)];
    }));
    if (focused) buttons[own >= 0 ? own : 0].focus();
  }

  #tell(index) {
    const { rows, columns } = partOf(state);
    const [row, column] = takes() ? [state.row, index] : [index, state.column];
    const { value, share } = describe(this.map, row, column);
    this.readout.replaceChildren(
      tokenName(rows[row], row), " takes ", element("b", { "data-value": value }, value),
      " from ", tokenName(columns[column], column), `, ${percent(share, 2)} of what it takes`);
  }

  /** Loads the other layers one after another and draws them as they come. */
  async #allLayers(own) {
    const drawing = ++this.drawings;
    const { part, rows, columns } = partOf(state);
    const tokens = takes() ? columns : rows;
    const strip = {
      rows: part.layers.length,
      columns: tokens.length,
      values: new Float32Array(part.layers.length * tokens.length),
    };
    this.stripMaps = [];
    this.stripHeading.textContent = "The same in all layers";
    let limit = 0;
    for (let layer = 0; layer < strip.rows; layer++) {
      const map = await this.#load(layer);
      if (drawing !== this.drawings) return;
      this.stripMaps.push(map);
      const { values } = drawn(map, part, state.measure, state);
      const amounts = slice(values, map.columns, state.direction, selectedToken());
      strip.values.set(amounts, layer * tokens.length);
      limit = Math.max(limit, this.#limit(amounts, own));
    }
    const rowNames = part.layers.map(String);
    this.strip.draw({
      map: strip,
      limit,
      rowNames,
      columnNames: tokens,
      width: this.root.clientWidth,
      maxCell: 40,
      rowHeight: 16,
    });
    this.strip.point(state.layer, selectedToken());
    this.stripReadout.textContent = "";
    document.dispatchEvent(new CustomEvent("drawn-layers"));
  }

  #tellStrip(layer, index) {
    const { part, rows, columns } = partOf(state);
    const [row, column] = takes() ? [state.row, index] : [index, state.column];
    const { value, share } = describe(this.stripMaps[layer], row, column);
    this.stripReadout.replaceChildren(
      `Layer ${part.layers[layer]}: `, tokenName(rows[row], row), " takes ", element("b", {}, value),
      " from ", tokenName(columns[column], column), `, ${percent(share, 2)} of what it takes`);
  }

  #key(event) {
    const onward = this.flow.dir === "rtl" ? -1 : 1;
    const move = { ArrowLeft: -onward, ArrowUp: -1, ArrowRight: onward, ArrowDown: 1 }[event.key];
    const { rows, columns } = partOf(state);
    const count = (takes() ? rows : columns).length;
    if (!move || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    select(clamp(selectedToken() + move, 0, count - 1));
  }
}
