/**
 * Makes an element. Whatever comes from a text is a child here, and children
 * that are strings become text, never markup.
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "class") made.className = value;
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

export function byId(id) {
  return document.getElementById(id);
}

/** A token as it is, set apart from the direction of the text around it. */
export function tokenName(token, position) {
  return element(
    "span",
    { class: "token-name" },
    element("bdi", {}, token),
    element("sub", {}, String(position)),
  );
}

/** A table of numbers with a heading for each row. */
export function numberTable(caption, columns, rows, cell) {
  return element(
    "table",
    { class: "numbers" },
    element("caption", {}, caption),
    element("thead", {}, element("tr", {}, ...columns.map((c) => element("th", { scope: "col" }, c)))),
    element(
      "tbody",
      {},
      ...rows.map(({ name, values, class: rowClass }) =>
        element(
          "tr",
          { class: rowClass ?? "" },
          element("th", { scope: "row" }, name),
          ...values.map((value) => cell(value)),
        )),
    ),
  );
}
