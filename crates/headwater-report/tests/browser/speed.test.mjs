// Sizes and times of reports with 12 layers of 12 heads; the figures are printed.

import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { test } from "node:test";
import { assertShown, cells, choose, hover, manifest, median, open, press, select } from "./harness.mjs";
import { AnalysisFile } from "./safetensors.mjs";

const PRESSES = 10;

/** Milliseconds from each of ten presses of a key to the frame that shows the drawn view. */
async function times(page, key) {
  const measured = [];
  for (let i = 0; i < PRESSES; i++) {
    await page.evaluate(() => {
      window.measured = new Promise((resolve) => {
        let pressed;
        document.addEventListener("keydown", (event) => { pressed = event.timeStamp; }, { once: true, capture: true });
        document.addEventListener("drawn", () => {
          requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - pressed)));
        }, { once: true });
      });
    });
    await page.keyboard.press(key);
    measured.push(await page.evaluate(() => window.measured));
  }
  return measured;
}

for (const [name, tokens, mostBytes] of [["tokens128", 128, 5e6], ["tokens512", 512, 60e6]]) {
  test(`${tokens} tokens: size, first paint, interaction`, async (t) => {
    const bytes = statSync(manifest[name].page).size;
    const { page, close } = await open(name);
    const firstPaint = await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0].startTime);
    const firstMap = await page.evaluate(() => window.firstDrawn);

    // Twice ten maps that have not been decoded before, each.
    const layers = await times(page, "l");
    await select(page, "Map", 4);
    layers.push(...await times(page, "l"));
    await select(page, "Map", 0);
    const heads = [];
    for (const layer of ["3", "7"]) {
      await choose(page, "Head", "0");
      await choose(page, "Layer", layer);
      heads.push(...await times(page, "h"));
    }
    await press(page, "5");
    const overview = await times(page, "l");
    t.diagnostic(
      `${tokens} tokens × 12 layers × 12 heads: ${(bytes / 1e6).toFixed(2)} MB, ` +
      `first paint ${firstPaint.toFixed(0)} ms, first map ${firstMap.toFixed(0)} ms, ` +
      `key press to drawn map (median of ${layers.length}): layer ${median(layers).toFixed(0)} ms, ` +
      `head ${median(heads).toFixed(0)} ms; all heads of a layer (median of ${overview.length}) ${median(overview).toFixed(0)} ms`);
    assert.ok(bytes < mostBytes, `${bytes} bytes`);
    assert.ok(firstPaint < 2000, `first paint after ${firstPaint} ms`);
    assert.ok(median(layers) < 250 && median(heads) < 250, "switching layers or heads is slow");
    await close();
  });

  test(`${tokens} tokens: values and digits`, async (t) => {
    const file = new AnalysisFile(manifest[name].files[0]);
    const { page, close } = await open(name);
    const heatmap = page.locator(".stage .heatmap");
    const digits = [];
    const compare = async (key, place) => {
      for (const [row, column] of cells(tokens, tokens, 17)) {
        await hover(page, heatmap, row, column);
        const shown = await page.locator(".readout .value").getAttribute("data-value");
        digits.push(assertShown(shown, file.value(key, ...place, row, column), `${key} ${row} ${column}`));
      }
    };
    for (const layer of [0, 11]) {
      await choose(page, "Layer", String(layer));
      for (const [index, scope] of ["attn", "attn_res", "atb", "atb_ff", "atb_ff_res", "atb_ff_res_ln"].entries()) {
        await select(page, "Map", 2 + index);
        await compare(`layers.${layer}.norms.${scope}`, []);
      }
      await select(page, "Map", 0);
      await choose(page, "Head", "7");
      await compare(`layers.${layer}.attention_weights`, [7]);
    }
    t.diagnostic(`${tokens} tokens: ${median(digits)} significant digits (median)`);
    await close();
    file.close();
  });
}
