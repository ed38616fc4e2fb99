import { element } from "./elements.js";
import { clamp } from "./numbers.js";
import { PALETTES, step } from "./palette.js";
import { isDark } from "./theme.js";

/** Cells at least so high carry the names of their tokens. */
const LABELLED = 9;
const MARGIN = 92;
const NARROW_MARGIN = 34;
/** Names at the top lean to the right, out of the map. */
const LEAN = 40;

function shortened(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let end = text.length;
  while (end > 1 && context.measureText(`${text.slice(0, end)}…`).width > width) end--;
  return `${text.slice(0, end)}…`;
}

/** An image of a map, one pixel a cell. `limit` is the value of the last colour. */
export function picture({ rows, columns, values }, limit, kind) {
  const palette = PALETTES[isDark() ? "dark" : "light"][kind];
  const image = new ImageData(columns, rows);
  const pixels = new Uint32Array(image.data.buffer);
  const diverging = kind === "diverging";
  const scale = limit > 0 ? (diverging ? 0.5 : 1) / limit : 0;
  const offset = diverging ? 0.5 : 0;
  const table = palette.pixels;
  for (let i = 0; i < pixels.length; i++) pixels[i] = table[step(offset + values[i] * scale)];
  const canvas = document.createElement("canvas");
  canvas.width = columns;
  canvas.height = rows;
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/**
 * A map on a canvas, with the names of its tokens, a cursor that follows the
 * mouse and the arrow keys, and a margin that names the cursor's tokens where
 * cells are too small for names.
 */
export class Heatmap {
  /** `onMove(row, column)` is called when the user moves the cursor. */
  constructor({ label, onMove, onSelect = () => {}, kind = "sequential", rowTitle, columnTitle }) {
    this.kind = kind;
    this.onMove = onMove;
    this.titles = { row: rowTitle, column: columnTitle };
    this.base = element("canvas", { "aria-hidden": "true" });
    this.overlay = element("canvas", { "aria-hidden": "true" });
    this.root = element(
      "div",
      { class: "heatmap", tabindex: "0", role: "application", "aria-label": label },
      this.base,
      this.overlay,
    );
    this.root.addEventListener("pointermove", (event) => this.#point(event));
    this.root.addEventListener("pointerdown", (event) => {
      this.#point(event);
      if (this.cursor) onSelect(this.cursor.row, this.cursor.column);
    });
    this.root.addEventListener("keydown", (event) => this.#key(event));
    this.cursor = null;
    this.data = null;
  }

  /**
   * Draws a map into a width. `rowNames` and `columnNames` are what stands at
   * the axes; `maxCell` keeps small maps small; `flat` maps have low rows.
   */
  draw({ map, limit, rowNames, columnNames, width, maxCell = 26, rowHeight = null }) {
    const { rows, columns } = map;
    const left = rowHeight ? NARROW_MARGIN + 14 : MARGIN;
    const cellWidth = Math.min(maxCell, (width - left - LEAN) / columns);
    const cellHeight = rowHeight ?? cellWidth;
    const top = cellWidth >= LABELLED ? MARGIN : NARROW_MARGIN;
    this.data = { map, limit, rowNames, columnNames };
    this.box = { left, top, cellWidth, cellHeight };
    this.root.dataset.box = JSON.stringify(this.box);
    const size = [left + cellWidth * columns + LEAN, top + cellHeight * rows + 2];
    const ratio = window.devicePixelRatio || 1;
    for (const canvas of [this.base, this.overlay]) {
      canvas.width = Math.round(size[0] * ratio);
      canvas.height = Math.round(size[1] * ratio);
      canvas.style.width = `${size[0]}px`;
      canvas.style.height = `${size[1]}px`;
    }
    this.root.style.width = `${size[0]}px`;
    this.root.style.height = `${size[1]}px`;
    const context = this.#context(this.base);
    context.imageSmoothingEnabled = cellWidth < 1 || cellHeight < 1;
    const image = picture(map, limit, this.kind);
    context.drawImage(image, left, top, cellWidth * columns, cellHeight * rows);
    this.#axes(context);
    this.#drawCursor();
  }

  /** Puts the cursor on a cell. */
  point(row, column) {
    this.cursor = { row, column };
    if (this.data) this.#drawCursor();
  }

  #context(canvas) {
    const context = canvas.getContext("2d");
    const ratio = window.devicePixelRatio || 1;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const cell = Math.min(this.box.cellWidth, this.box.cellHeight);
    context.font = `${cell >= LABELLED ? clamp(cell, 9, 11) : 11}px system-ui, sans-serif`;
    context.textBaseline = "middle";
    context.fillStyle = getComputedStyle(this.root).color;
    context.strokeStyle = context.fillStyle;
    return context;
  }

  #axes(context) {
    const { map, rowNames, columnNames } = this.data;
    const { left, top, cellWidth, cellHeight } = this.box;
    context.globalAlpha = 0.35;
    context.strokeRect(left - 0.5, top - 0.5, cellWidth * map.columns + 1, cellHeight * map.rows + 1);
    context.globalAlpha = 1;
    const every = (cell) => (cell >= LABELLED ? 1 : [10, 20, 50, 100, 200, 500].find((n) => n * cell >= 28) ?? 1000);
    const rowStep = every(cellHeight);
    for (let row = 0; row < map.rows; row += rowStep) {
      const name = rowStep === 1 ? rowNames[row] : String(row);
      this.#name(context, "row", row, name);
    }
    const columnStep = every(cellWidth);
    for (let column = 0; column < map.columns; column += columnStep) {
      const name = columnStep === 1 ? columnNames[column] : String(column);
      this.#name(context, "column", column, name);
    }
    context.globalAlpha = 0.75;
    context.textAlign = "left";
    context.fillText(this.titles.column, left, 8);
    if (rowStep === 1 && cellHeight * map.rows > 0) {
      context.textAlign = "left";
      context.fillText(this.titles.row, 0, top - 9);
    }
    context.globalAlpha = 1;
  }

  #name(context, axis, index, name, highlighted = false) {
    const { left, top, cellWidth, cellHeight } = this.box;
    context.save();
    if (axis === "row") {
      const text = shortened(context, name, left - 8);
      const y = top + (index + 0.5) * cellHeight;
      if (highlighted) this.#plate(context, left - 6 - context.measureText(text).width, y, text);
      context.textAlign = "right";
      context.fillText(text, left - 6, y);
    } else {
      const x = left + (index + 0.5) * cellWidth;
      if (top >= MARGIN) {
        context.translate(x, top - 6);
        context.rotate(-Math.PI / 3);
        context.textAlign = "left";
        context.fillText(shortened(context, name, MARGIN - 24), 0, 0);
      } else {
        const text = shortened(context, name, 160);
        const width = context.measureText(text).width;
        const from = clamp(x - width / 2, 0, left + cellWidth * this.data.map.columns - width);
        if (highlighted) this.#plate(context, from, top - 10, text);
        context.textAlign = "left";
        context.fillText(text, from, top - 10);
      }
    }
    context.restore();
  }

  /** Clears what stands under a name of the cursor. */
  #plate(context, x, y, text) {
    const fill = context.fillStyle;
    context.fillStyle = getComputedStyle(document.body).backgroundColor;
    context.fillRect(x - 4, y - 8, context.measureText(text).width + 8, 16);
    context.fillStyle = fill;
  }

  #drawCursor() {
    const context = this.#context(this.overlay);
    context.clearRect(0, 0, this.overlay.width, this.overlay.height);
    if (!this.cursor) return;
    const { row, column } = this.cursor;
    const { map, rowNames, columnNames } = this.data;
    if (row >= map.rows || column >= map.columns) return;
    const { left, top, cellWidth, cellHeight } = this.box;
    const [x, y] = [left + column * cellWidth, top + row * cellHeight];
    context.globalAlpha = 0.3;
    context.fillRect(left, y + cellHeight / 2 - 0.5, x - left, 1);
    context.fillRect(x + cellWidth / 2 - 0.5, top, 1, y - top);
    context.globalAlpha = 1;
    // Two lines, so that one of them stands out from any colour.
    const ink = context.strokeStyle;
    context.lineWidth = 4;
    context.strokeStyle = getComputedStyle(document.body).backgroundColor;
    context.strokeRect(x - 1, y - 1, cellWidth + 2, cellHeight + 2);
    context.lineWidth = 2;
    context.strokeStyle = ink;
    context.strokeRect(x - 1, y - 1, cellWidth + 2, cellHeight + 2);
    if (cellHeight < LABELLED) this.#name(context, "row", row, rowNames[row], true);
    if (cellWidth < LABELLED) this.#name(context, "column", column, columnNames[column], true);
  }

  #move(row, column) {
    const { map } = this.data;
    const at = { row: clamp(row, 0, map.rows - 1), column: clamp(column, 0, map.columns - 1) };
    if (this.cursor?.row === at.row && this.cursor?.column === at.column) return;
    this.point(at.row, at.column);
    this.onMove(at.row, at.column);
  }

  #point(event) {
    if (!this.data) return;
    const { left, top, cellWidth, cellHeight } = this.box;
    const bounds = this.root.getBoundingClientRect();
    const column = Math.floor((event.clientX - bounds.left - left) / cellWidth);
    const row = Math.floor((event.clientY - bounds.top - top) / cellHeight);
    const { rows, columns } = this.data.map;
    if (row >= 0 && column >= 0 && row < rows && column < columns) this.#move(row, column);
  }

  #key(event) {
    if (!this.data || event.altKey || event.ctrlKey || event.metaKey) return;
    const { row, column } = this.cursor ?? { row: 0, column: 0 };
    const far = event.shiftKey ? 10 : 1;
    const target = {
      ArrowUp: [row - far, column],
      ArrowDown: [row + far, column],
      ArrowLeft: [row, column - far],
      ArrowRight: [row, column + far],
      Home: [row, 0],
      End: [row, Infinity],
      PageUp: [0, column],
      PageDown: [Infinity, column],
    }[event.key];
    if (!target) return;
    event.preventDefault();
    this.#move(...target);
  }
}
