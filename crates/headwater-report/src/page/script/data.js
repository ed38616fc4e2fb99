import { largest } from "./numbers.js";

/** What the page is about; see `document.rs` for its shape. */
export const report = JSON.parse(document.getElementById("document").textContent);

/** Decoded maps that are kept; an entry of 512 tokens takes a megabyte. */
const KEPT = 160;
const kept = new Map();

function remembered(key, make) {
  let value = kept.get(key);
  kept.delete(key);
  value ??= make();
  kept.set(key, value);
  if (kept.size > KEPT) kept.delete(kept.keys().next().value);
  return value;
}

/** The text of a data element, which the parser may not have come to yet. */
async function blobText(index) {
  for (;;) {
    const found = document.getElementById(`blob-${index}`);
    const parsed = document.readyState !== "loading";
    if (found && (parsed || found.nextElementSibling)) return found.textContent;
    if (parsed) throw new Error(`the page is cut off: blob ${index} is missing`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function bytesOf(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const characters = atob(text);
  const bytes = new Uint8Array(characters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i);
  return bytes;
}

/** Whole numbers, kept as all lowest bytes, then all bytes above them, and so on. */
async function unpack({ blob, decimals, planes }, count) {
  const values = new Float32Array(count);
  if (planes === 0) return values;
  const compressed = new Blob([bytesOf(await blobText(blob))]).stream();
  const stream = compressed.pipeThrough(new DecompressionStream("deflate-raw"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const scale = 10 ** Math.abs(decimals);
  for (let i = 0; i < count; i++) {
    let code = bytes[i];
    if (planes > 1) code += bytes[count + i] * 256;
    if (planes > 2) code += bytes[2 * count + i] * 65536;
    values[i] = decimals < 0 ? code * scale : code / scale;
  }
  return values;
}

/** The part of a text that the state points at, with what belongs to it. */
export function partOf(state) {
  const text = report.texts[state.text];
  const part = text.parts[state.part];
  return { text, part, rows: text.tokens[part.rows], columns: text.tokens[part.columns] };
}

/** Whether row and column i are the same token. */
export function hasDiagonal(part) {
  return part.rows === part.columns;
}

/**
 * A map: `{ rows, columns, values, decimals(row, column), max, maxOffDiagonal }`.
 * With `head` null that of a measure with heads is the mean over them.
 */
export function loadMap({ text, part, measure, layer, head }) {
  const key = ["map", text, part, measure, layer, head].join();
  return remembered(key, () => makeMap({ text, part, measure, layer, head }));
}

async function makeMap({ text, part: partIndex, measure, layer, head }) {
  const { tokens, parts } = report.texts[text];
  const part = parts[partIndex];
  const rows = tokens[part.rows].length;
  const columns = tokens[part.columns].length;
  const { per_head: perHead, maps } = part.maps[measure];
  const load = (of, which) =>
    loadMap({ text, part: partIndex, measure: of, layer, head: which });
  if (perHead && head === null) {
    const all = await Promise.all(maps[layer].map((_, which) => load(measure, which)));
    return meanMap(all, hasDiagonal(part));
  }
  const entry = maps[layer][perHead ? head : 0];
  const shape = { rows, columns, max: entry.max, maxOffDiagonal: entry.max_off_diagonal };
  if (entry.stored) {
    const values = await unpack(entry.stored, rows * columns);
    return { ...shape, values, decimals: () => entry.stored.decimals };
  }
  if (entry.diagonal) {
    const before = await load(measure - 1, null);
    const diagonal = await unpack(entry.diagonal, rows);
    const values = before.values.slice();
    for (let i = 0; i < rows; i++) values[i * columns + i] = diagonal[i];
    const decimals = (i, j) => (i === j ? entry.diagonal.decimals : before.decimals(i, j));
    return { ...shape, values, decimals };
  }
  const weights = await load(measure - 1, head);
  const norms = await unpack(part.transformed_norms[layer], part.heads * columns);
  const ofHead = norms.subarray(head * columns, (head + 1) * columns);
  const values = new Float32Array(rows * columns);
  for (let i = 0, row = 0; row < rows; row++) {
    for (let j = 0; j < columns; j++, i++) values[i] = weights.values[i] * ofHead[j];
  }
  // Both factors are known to half a unit of their last decimals.
  const ofNorms = 10 ** -part.transformed_norms[layer].decimals;
  const decimals = (i, j) => {
    const unit = ofHead[j] * 10 ** -weights.decimals(i, j) + weights.values[i * columns + j] * ofNorms;
    return unit > 0 ? Math.floor(-Math.log10(unit)) : 0;
  };
  return { ...shape, values, decimals };
}

function meanMap(maps, withDiagonal) {
  const { rows, columns } = maps[0];
  const values = new Float32Array(rows * columns);
  for (const map of maps) for (let i = 0; i < values.length; i++) values[i] += map.values[i];
  let maxOffDiagonal = 0;
  for (let i = 0; i < values.length; i++) {
    values[i] /= maps.length;
    const own = withDiagonal && Math.floor(i / columns) === i % columns;
    if (!own && values[i] > maxOffDiagonal) maxOffDiagonal = values[i];
  }
  const decimals = (i, j) => Math.min(...maps.map((map) => map.decimals(i, j)));
  return { rows, columns, values, decimals, max: largest(values), maxOffDiagonal };
}

/** Mixing ratios, `[layer, target]`. */
export function loadRatios({ text, part, ratio }) {
  const { tokens, parts } = report.texts[text];
  const { layers, ratios, rows } = parts[part];
  const packed = ratios[ratio].values;
  return remembered(["ratios", text, part, ratio].join(), async () => {
    const columns = tokens[rows].length;
    const values = await unpack(packed, layers.length * columns);
    return { rows: layers.length, columns, values, decimals: () => packed.decimals, max: largest(values) };
  });
}
