/** A value with the decimals that it is known to. */
export function decimal(value, decimals) {
  return value.toFixed(Math.min(20, Math.max(0, decimals)));
}

export function percent(share, decimals = 1) {
  return `${(100 * share).toFixed(decimals)} %`;
}

/** A number to four significant digits; a dash for none. */
export function rounded(value) {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0";
  const magnitude = Math.floor(Math.log10(Math.abs(value)));
  if (magnitude < -5 || magnitude > 6) return value.toExponential(2);
  return value.toFixed(Math.max(0, 3 - magnitude));
}

export function sum(values) {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

export function largest(values) {
  let max = 0;
  for (const value of values) if (value > max) max = value;
  return max;
}

export function clamp(value, low, high) {
  return Math.min(high, Math.max(low, value));
}
