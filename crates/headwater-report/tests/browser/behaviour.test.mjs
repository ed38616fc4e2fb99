// Keyboard, theme, print, labels, and texts that would be markup.

import assert from "node:assert/strict";
import { test } from "node:test";
import { manifest, open, press, redrawn, select } from "./harness.mjs";
import { AnalysisFile } from "./safetensors.mjs";

const checked = (page, legend) =>
  page.locator("#controls fieldset", { has: page.locator("legend", { hasText: legend }) })
    .locator("label:has(:checked)").textContent();

test("every control has its key", async () => {
  const { page, close } = await open("bert");
  assert.equal(await checked(page, "Layer"), "0");
  await press(page, "l");
  await press(page, "l");
  assert.equal(await checked(page, "Layer"), "2");
  await press(page, "Shift+L");
  assert.equal(await checked(page, "Layer"), "1");

  const map = () => page.locator("label.list", { hasText: "Map" }).locator("option:checked").textContent();
  assert.match(await map(), /\(attn\)/);
  await press(page, "s");
  assert.match(await map(), /\(attn_res\)/);
  await press(page, "Shift+S");
  await press(page, "Shift+S");
  assert.match(await map(), /weighted norms/);
  assert.equal(await checked(page, "Head"), "mean");
  await press(page, "h");
  assert.equal(await checked(page, "Head"), "0");
  await press(page, "Shift+H");
  await press(page, "Shift+H");
  assert.equal(await checked(page, "Head"), "3");

  const legend = page.locator(".legend");
  assert.doesNotMatch(await legend.textContent(), /share of the row/);
  const own = await legend.locator(".marks").textContent();
  await press(page, "c");
  assert.notEqual(await legend.locator(".marks").textContent(), own);
  await press(page, "n");
  assert.match(await legend.textContent(), /share of the row.*100\.0 %/s);
  await press(page, "d");
  assert.match(await legend.textContent(), /≥/);

  for (const [key, name] of [["2", "Text"], ["3", "Mixing"], ["4", "Before and after"], ["5", "Heads"], ["6", "Statistics"], ["1", "Map"]]) {
    await press(page, key);
    assert.equal(await page.locator("[role=tab][aria-selected=true]").textContent(), name);
  }
  await close();
});

test("the cursor moves with the arrow keys", async () => {
  const { page, close } = await open("bert");
  const { tokens } = new AnalysisFile(manifest.bert.files[0]);
  const pair = () => page.locator(".readout .pair bdi").allTextContents();
  await page.locator(".stage .heatmap").focus();
  await page.keyboard.press("Home");
  await page.keyboard.press("PageUp");
  for (const key of ["ArrowRight", "ArrowRight", "ArrowDown", "ArrowDown", "ArrowDown", "ArrowUp", "ArrowLeft"]) {
    await page.keyboard.press(key);
  }
  assert.deepEqual(await pair(), [tokens[2], tokens[1]]);
  await page.keyboard.press("End");
  assert.deepEqual(await pair(), [tokens[2], tokens.at(-1)]);

  await press(page, "2");
  await page.locator(".token.selected").focus();
  await press(page, "ArrowRight");
  assert.equal(await page.locator(".token.selected").getAttribute("data-index"), "3");
  assert.equal(await page.evaluate(() => document.activeElement.dataset.index), "3");
  await close();
});

test("everything can be reached with Tab and says what it is", async () => {
  const { page, close } = await open("bert");
  const seen = new Set();
  for (let i = 0; i < 30; i++) {
    await page.keyboard.press("Tab");
    const found = await page.evaluate(() => {
      const { activeElement: at } = document;
      const name = at.getAttribute("aria-label") ?? at.closest("label")?.textContent ?? at.textContent;
      return { tag: at.tagName, role: at.getAttribute("role"), name: name.trim() };
    });
    if (found.tag === "BODY") break;
    assert.ok(found.name.length > 0, JSON.stringify(found));
    seen.add(found.role ?? found.tag);
  }
  for (const kind of ["tab", "INPUT", "SELECT", "application", "BUTTON", "SUMMARY"]) assert.ok(seen.has(kind), kind);
  await close();
});

test("light and dark, by the system and by choice; paper is light", async () => {
  const background = (page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const brightness = async (page) => Number((await background(page)).match(/\d+/)[0]);
  const dark = await open("bert", { colorScheme: "dark" });
  assert.ok((await brightness(dark.page)) < 60);
  await press(dark.page, "t");
  assert.ok((await brightness(dark.page)) > 200);
  await press(dark.page, "t");
  await dark.page.emulateMedia({ media: "print" });
  assert.equal(await dark.page.locator("#tabs").isVisible(), false);
  await dark.close();
  const light = await open("bert", { colorScheme: "light" });
  assert.ok((await brightness(light.page)) > 200);
  await light.close();
});

test("a text of markup is text in every view", async () => {
  const { tokens, metadata } = new AnalysisFile(manifest.hostile.files[0]);
  const { page, close } = await open("hostile");
  assert.match(await page.title(), / – Headwater$/);
  assert.ok((await page.locator("#facts").textContent()).includes(metadata.model));
  const strongest = () => page.locator(".strongest bdi").allTextContents();
  for (const token of await strongest()) assert.ok(tokens.includes(token), token);
  for (const view of ["1", "3", "4", "5", "6", "2"]) {
    if ((await page.locator("[role=tab]").nth(Number(view) - 1).getAttribute("aria-selected")) !== "true") {
      await press(page, view);
    }
    assert.equal(await page.locator("#view img, #view script, #view b b").count(), 0);
  }
  assert.deepEqual(await page.locator(".flow .token").allTextContents(), tokens);
  assert.match(await page.title(), / – Headwater$/);
  await close();
});

test("clicking a head in the overview shows it large", async () => {
  const { page, close } = await open("gpt2");
  await press(page, "5");
  assert.equal(await page.locator(".head").count(), 4);
  await redrawn(page, () => page.getByRole("button", { name: "weighted norms ‖αf(x)‖ of head 2" }).click());
  assert.equal(await page.locator("[role=tab][aria-selected=true]").textContent(), "Map");
  assert.equal(await checked(page, "Head"), "2");
  await close();
});

test("the steps name what a component did", async () => {
  const { page, close } = await open("gpt2");
  await press(page, "4");
  await redrawn(page, () => page.getByRole("button", { name: "feed-forward", exact: true }).click());
  assert.deepEqual(await page.locator(".triple h3").allTextContents(),
    ["Before: atb_ln", "After: atb_ln_ff", "After − before"]);
  await close();
});

for (const [name, width] of [["several", 420], ["translation", 420], ["tokens128", 420], ["hostile", 320]]) {
  test(`nothing of ${name} runs out of a window of ${width} pixels`, async () => {
    const { page, close } = await open(name, { viewport: { width, height: 900 } });
    for (const tab of await page.locator("[role=tab]").all()) {
      if ((await tab.getAttribute("aria-selected")) !== "true") await redrawn(page, () => tab.click());
      const widest = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(widest <= width, `${await tab.textContent()} is ${widest} pixels wide`);
    }
    await close();
  });
}
