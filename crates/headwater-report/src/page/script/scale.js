import { hasDiagonal } from "./data.js";
import { largest } from "./numbers.js";

/** The map with each row divided by its sum; a row of zeros stays one. */
export function normaliseRows(map) {
  const { rows, columns, values } = map;
  const shares = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    const start = row * columns;
    let total = 0;
    for (let i = start; i < start + columns; i++) total += values[i];
    if (total > 0) for (let i = start; i < start + columns; i++) shares[i] = values[i] / total;
  }
  return shares;
}

function largestOffDiagonal(values, columns) {
  let max = 0;
  for (let i = 0; i < values.length; i++) {
    if (values[i] > max && Math.floor(i / columns) !== i % columns) max = values[i];
  }
  return max;
}

/**
 * What of a map is drawn: `{ values, limit, overflows }`; the limit is the
 * value of the last colour, which larger ones share if it overflows.
 */
export function drawn(map, part, measure, options) {
  const values = options.rowsNormalised ? normaliseRows(map) : map.values;
  const full = options.diagonalCounts || !hasDiagonal(part);
  let limit;
  if (!options.rowsNormalised) {
    const maxima = options.sharedScale
      ? part.maps[measure].maps.flat().map((m) => (full ? m.max : m.max_off_diagonal))
      : [full ? map.max : map.maxOffDiagonal];
    limit = largest(maxima);
  } else if (options.sharedScale) {
    limit = 1;
  } else {
    limit = full ? largest(values) : largestOffDiagonal(values, map.columns);
  }
  return { values, limit, overflows: !full };
}
