import { choice } from "./controls.js";
import { partOf, report } from "./data.js";
import { element, numberTable } from "./elements.js";
import { measureName, quantityName } from "./names.js";
import { percent, rounded } from "./numbers.js";
import { PALETTES } from "./palette.js";
import { state } from "./state.js";
import { isDark } from "./theme.js";

const CATEGORIES = {
  attention_weights: "Attention to a category of tokens: sum of α over its members, mean over targets and heads",
  weighted_norms: "What a category gives: sum of ‖αf(x)‖ over its members, mean over targets and heads",
  transformed_norms: "How long its vectors are: mean of ‖f(x)‖ over its members and heads",
};

/** Cells shaded by their place between 0 and the largest of the table. */
function shaded(rows, format) {
  const palette = PALETTES[isDark() ? "dark" : "light"].sequential;
  const top = Math.max(...rows.flatMap(({ values }) => values).filter((value) => value !== null));
  return (value) => {
    const cell = element("td", {}, value === null ? "–" : format(value));
    if (value !== null && top > 0) {
      cell.style.backgroundColor = palette.css(value / top);
      cell.style.color = palette.isLight(value / top) ? "#14181c" : "#fdfcfa";
    }
    return cell;
  };
}

function layerTable(caption, { columns, rows, overall }, layers, format) {
  const named = rows.map((values, index) => ({ name: String(layers[index]), values }));
  const all = overall ? [...named, { name: "all", values: overall, class: "overall" }] : named;
  return numberTable(caption, ["layer", ...columns], all, shaded(named, format));
}

/** What holds over all texts of the report. */
export class StatisticsView {
  constructor() {
    this.root = element("div", { class: "reading statistics" });
    this.controls = [
      choice({
        label: "Of each head",
        name: "statistic",
        options: () => ["max", "mean", "min"].map((value) => ({ value, label: value })),
      }),
    ];
  }

  prepare() {
    return report.statistics[state.part];
  }

  show({ categories, mixing, heads }) {
    const { layers } = partOf(state).part;
    const texts = report.texts.length;
    const names = Array.from({ length: heads[0]?.mean[0].length ?? 0 }, (_, head) => String(head));
    const ofHeads = heads.map((table) => {
      const rows = table[state.statistic].map((values, index) => ({ name: String(layers[index]), values }));
      const caption = `${quantityName(table.id)}: ${state.statistic} over all tokens, by layer and head`;
      return numberTable(caption, ["layer", ...names], rows, shaded(rows, rounded));
    });
    const section = (title, tables) =>
      tables.length > 0 ? element("section", {}, element("h2", {}, title), ...tables) : null;
    this.root.replaceChildren(
      element("p", { class: "text-readout" }, `Over ${texts === 1 ? "the one text" : `${texts} texts`} of this report.`),
      ...[
        section("Categories of tokens", categories.map((table) =>
          layerTable(CATEGORIES[table.id], table, layers, rounded))),
        section("Heads", ofHeads),
        section("Mixing ratio by kind of token", mixing.map((table) =>
          layerTable(measureName(table.id), table, layers, (value) => percent(value)))),
      ].filter((made) => made !== null),
    );
  }
}
