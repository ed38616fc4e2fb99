import { element } from "./elements.js";
import { rounded } from "./numbers.js";
import { PALETTES } from "./palette.js";
import { isDark } from "./theme.js";

/** A colour bar with its numbers. */
export function legend({ title, limit, overflows = false, kind = "sequential", format = rounded }) {
  const bar = element("canvas", { width: "240", height: "1", class: "bar", "aria-hidden": "true" });
  const palette = PALETTES[isDark() ? "dark" : "light"][kind];
  const context = bar.getContext("2d");
  for (let x = 0; x < 240; x++) {
    context.fillStyle = palette.css(x / 239);
    context.fillRect(x, 0, 1, 1);
  }
  const top = `${overflows ? "≥ " : ""}${format(limit)}`;
  const marks =
    kind === "diverging" ? [`−${format(limit)}`, "0", `+${format(limit)}`] : ["0", format(limit / 2), top];
  return element(
    "div",
    { class: "legend" },
    element("div", { class: "legend-title" }, title),
    bar,
    element("div", { class: "marks" }, ...marks.map((mark) => element("span", {}, mark))),
  );
}
