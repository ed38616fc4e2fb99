import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after } from "node:test";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

export const manifest = JSON.parse(readFileSync(process.env.HEADWATER_REPORTS, "utf8"));

// Chromium refuses to run as root with its sandbox, and CI runs as root.
const browser = await chromium.launch({ executablePath: manifest.browser, args: ["--no-sandbox"] });
after(() => browser.close());

/**
 * Opens a report. Whatever it asks of the network, logs as an error or throws
 * is kept, and `close` fails if there was anything.
 */
export async function open(name, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  const own = pathToFileURL(manifest[name].page).href;
  const problems = [];
  page.on("request", (request) => {
    if (request.url() !== own) problems.push(`requested ${request.url()}`);
  });
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) problems.push(message.text());
  });
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("dialog", (dialog) => problems.push(`dialog: ${dialog.message()}`));
  await page.addInitScript(() => {
    window.drawings = 0;
    document.addEventListener("drawn", () => {
      window.firstDrawn ??= performance.now();
      window.drawings++;
    });
  });
  await page.goto(own);
  await page.waitForFunction(() => window.drawings > 0);
  const close = async () => {
    await context.close();
    assert.deepEqual(problems, []);
  };
  return { page, close };
}

/** Does something that has the view drawn anew, and waits for that. */
export async function redrawn(page, act) {
  const before = await page.evaluate(() => window.drawings);
  await act();
  await page.waitForFunction((count) => window.drawings > count, before);
}

export function press(page, key) {
  return redrawn(page, () => page.keyboard.press(key));
}

/** Chooses one of a row of choices by its legend and label. */
export async function choose(page, legend, label) {
  const group = page.locator("#controls fieldset", { has: page.locator("legend", { hasText: legend }) });
  const input = group.locator("label", { hasText: new RegExp(`^${label}$`) }).locator("input");
  if (await input.isChecked()) return;
  await redrawn(page, () => input.check({ force: true }));
}

/** Chooses an entry of a list by its place. */
export async function select(page, label, index) {
  const list = page.locator("label.list", { hasText: label }).locator("select");
  if (Number(await list.inputValue()) === index) return;
  await redrawn(page, () => list.selectOption(String(index)));
}

/** Moves the mouse onto a cell of a map. */
export async function hover(page, heatmap, row, column) {
  const { left, top, cellWidth, cellHeight } = JSON.parse(await heatmap.getAttribute("data-box"));
  const x = left + (column + 0.5) * cellWidth;
  const y = top + (row + 0.5) * cellHeight;
  await heatmap.hover({ position: { x, y } });
}

/** Fails unless a number, as it is shown, is that of the file to its last digit. */
export function assertShown(shown, value, where, units = 0.5) {
  const decimals = shown.includes(".") ? shown.length - shown.indexOf(".") - 1 : 0;
  const allowed = units * 10 ** -decimals * (1 + 1e-6) + 1e-6 * Math.abs(value) * (units > 0.5);
  const found = Number(shown);
  assert.ok(Math.abs(found - value) <= allowed, `${where}: ${shown} is shown where the file has ${value}`);
  const digits = shown.replace(/^[0.]*/, "").replace(".", "").length;
  return digits;
}

export function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** A few cells of every kind: on the diagonal, in corners, anywhere. */
export function cells(rows, columns, salt) {
  const anywhere = [1, 2, 3].map((k) => [(salt * 7 + k * 5) % rows, (salt * 11 + k * 3) % columns]);
  return [[0, 0], [rows - 1, columns - 1], [rows - 1, 0], ...anywhere];
}
