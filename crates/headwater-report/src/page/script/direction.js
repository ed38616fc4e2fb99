/** Letters that are written from right to left: Hebrew, Arabic, Syriac, Thaana, N'Ko and others. */
const RIGHT_TO_LEFT =
  /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;
const LETTER = /\p{L}/u;
/** Digits run from left to right in every script. */
const LEFT_TO_RIGHT = /[\p{L}\p{Nd}]/u;
/** [CLS], <s> and their kin belong to no language. */
const SPECIAL = /^(\[.+\]|<.+>)$/u;

/** The direction of a token: "rtl", "ltr", or null if it takes that of its neighbours. */
function directionOf(token) {
  if (SPECIAL.test(token)) return null;
  if (RIGHT_TO_LEFT.test(token)) return "rtl";
  return LEFT_TO_RIGHT.test(token) ? "ltr" : null;
}

/**
 * How tokens that are elements of their own stand in a line: the direction of
 * the whole, that of its first letter, and its stretches `{ from, to, direction }`,
 * where those that run the other way have a direction, and the others null. A
 * browser orders letters by itself, but elements it leaves in the direction of
 * the whole.
 */
export function stretches(tokens) {
  const directions = tokens.map(directionOf);
  const first = tokens.findIndex((token, index) => directions[index] !== null && LETTER.test(token));
  const whole = directions[first] ?? "ltr";
  const found = [];
  let from = 0;
  while (from < tokens.length) {
    const against = directions[from] !== null && directions[from] !== whole;
    let to = from + 1;
    if (against) {
      // Up to the last token of this direction before one of the other.
      for (let next = to; next < tokens.length && directions[next] !== whole; next++) {
        if (directions[next] !== null) to = next + 1;
      }
    } else {
      while (to < tokens.length && (directions[to] === null || directions[to] === whole)) to++;
    }
    found.push({ from, to, direction: against ? directions[from] : null });
    from = to;
  }
  return { whole, found };
}
