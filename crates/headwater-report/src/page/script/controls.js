import { element } from "./elements.js";
import { change, onChange, state } from "./state.js";

let groups = 0;

/**
 * A row of choices: radio buttons, so that Tab and the arrow keys work.
 * `options()` gives `[{ value, label, title }]` and is asked again when one of
 * the names in `dependsOn` changes.
 */
export function choice({ label, name, options, dependsOn = [] }) {
  const group = `choice-${groups++}`;
  const box = element("div", { class: "chips" });
  const fieldset = element("fieldset", { class: "choice" }, element("legend", {}, label), box);
  const fill = () => {
    const made = options().map(({ value, label: text, title }) => {
      const input = element("input", {
        type: "radio",
        name: group,
        "data-value": String(value),
        onchange: () => change({ [name]: value }),
      });
      input.checked = state[name] === value;
      return element("label", { class: "chip", title }, input, element("span", {}, text));
    });
    box.replaceChildren(...made);
    fieldset.hidden = made.length < 2;
  };
  fill();
  onChange((changed) => {
    if (dependsOn.some((other) => changed.has(other))) fill();
    else if (changed.has(name)) {
      const chosen = String(state[name]);
      for (const input of box.querySelectorAll("input")) {
        input.checked = input.dataset.value === chosen;
      }
    }
  });
  return fieldset;
}

/** A drop-down list, for names that are long or many. */
export function list({ label, name, options, dependsOn = [] }) {
  const select = element("select", {
    onchange: () => change({ [name]: JSON.parse(select.value) }),
  });
  const whole = element("label", { class: "list" }, element("span", {}, label), select);
  const fill = () => {
    const made = options().map(({ value, label: text }) =>
      element("option", { value: JSON.stringify(value) }, text));
    select.replaceChildren(...made);
    select.value = JSON.stringify(state[name]);
    whole.hidden = made.length < 2;
  };
  fill();
  onChange((changed) => {
    if (dependsOn.some((other) => changed.has(other))) fill();
    else if (changed.has(name)) select.value = JSON.stringify(state[name]);
  });
  return whole;
}

/** A box to tick; `shown()` says whether it applies. */
export function toggle({ label, name, title, inverted = false, shown = () => true }) {
  const input = element("input", {
    type: "checkbox",
    onchange: () => change({ [name]: input.checked !== inverted }),
  });
  const whole = element("label", { class: "toggle", title }, input, element("span", {}, label));
  const update = () => {
    input.checked = state[name] !== inverted;
    whole.hidden = !shown();
  };
  update();
  onChange(update);
  return whole;
}
