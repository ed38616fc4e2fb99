import { onChange, state } from "./state.js";

const system = window.matchMedia("(prefers-color-scheme: dark)");
let printing = false;

/** Whether the page is dark now: as chosen, or as the system is. On paper it never is. */
export function isDark() {
  if (printing) return false;
  return state.theme ? state.theme === "dark" : system.matches;
}

/** Keeps the page's colours and its button in step; `redraw` is called when they change. */
export function followTheme(button, redraw) {
  const set = () => {
    document.documentElement.dataset.theme = isDark() ? "dark" : "light";
    button.textContent = isDark() ? "Light" : "Dark";
  };
  const apply = () => {
    set();
    redraw();
  };
  onChange((changed) => changed.has("theme") && apply());
  system.addEventListener("change", apply);
  window.addEventListener("beforeprint", () => { printing = true; apply(); });
  window.addEventListener("afterprint", () => { printing = false; apply(); });
  set();
}
