// What a report shows is what the analysis file has, in every view and scope.

import assert from "node:assert/strict";
import { test } from "node:test";
import { assertShown, cells, choose, hover, manifest, open, press, redrawn, select } from "./harness.mjs";
import { AnalysisFile } from "./safetensors.mjs";

const layersOf = (file) =>
  Object.keys(file.header).filter((key) => key.endsWith("layers.0.attention_weights") || /^layers\.\d+\.attention_weights$/.test(key)).length;

const scopesOf = (file) =>
  ["attn", "attn_res", "atb", "atb_ln", "atb_ff", "atb_ff_res", "atb_ff_res_ln", "atb_ln_ff", "atb_ln_ff_res"]
    .filter((scope) => file.header[`layers.0.norms.${scope}`]);

async function readMap(page, heatmap, row, column) {
  await hover(page, heatmap, row, column);
  const names = await page.locator(".readout .pair bdi").allTextContents();
  const value = await page.locator(".readout .value").getAttribute("data-value");
  return { names, value };
}

for (const name of ["bert", "gpt2"]) {
  test(`${name}: every map shows the file's values and tokens`, async () => {
    const file = new AnalysisFile(manifest[name].files[0]);
    const { page, close } = await open(name);
    const heatmap = page.locator(".stage .heatmap");
    const count = file.tokens.length;
    const scopes = scopesOf(file);
    const heads = file.shape("layers.0.attention_weights")[0];
    assert.ok(scopes.length >= 5);
    let compared = 0;
    const compare = async (layer, key, place, units, salt) => {
      for (const [row, column] of cells(count, count, salt)) {
        const { names, value } = await readMap(page, heatmap, row, column);
        assert.deepEqual(names, [file.tokens[row], file.tokens[column]]);
        const where = `layers.${layer}.${key}[${[...place, row, column]}]`;
        assertShown(value, file.value(`layers.${layer}.${key}`, ...place, row, column), where, units);
        compared++;
      }
    };
    for (let layer = 0; layer < layersOf(file); layer++) {
      await choose(page, "Layer", String(layer));
      for (const [index, scope] of scopes.entries()) {
        await select(page, "Map", 2 + index);
        await compare(layer, `norms.${scope}`, [], 0.5, layer + 3 * index);
      }
      // Weighted norms are products of two numbers on the page: right to one unit.
      for (const [index, quantity, units] of [[0, "attention_weights", 0.5], [1, "weighted_norms", 1]]) {
        await select(page, "Map", index);
        for (let head = 0; head < heads; head++) {
          await choose(page, "Head", String(head));
          await compare(layer, quantity, [head], units, layer + head);
        }
      }
    }
    assert.equal(compared, layersOf(file) * (scopes.length + 2 * heads) * 6);
    await close();
    file.close();
  });

  test(`${name}: mixing ratios, text, before and after`, async () => {
    const file = new AnalysisFile(manifest[name].files[0]);
    const { page, close } = await open(name);
    const count = file.tokens.length;
    const scopes = scopesOf(file);
    const layers = layersOf(file);

    await redrawn(page, () => page.getByRole("tab", { name: "Mixing" }).click());
    for (const measure of ["attn_w", "attn_res_w", ...scopes]) {
      await choose(page, "Measured on", measure);
      for (let layer = 0; layer < layers; layer++) {
        const token = (layer * 5 + 1) % count;
        await hover(page, page.locator(".heatmap"), layer, token);
        const shown = await page.locator(".text-readout b").getAttribute("data-value");
        const key = `layers.${layer}.mixing_ratio.${measure}`;
        assertShown(shown, file.value(key, token), `${key}[${token}]`);
      }
    }

    await redrawn(page, () => page.getByRole("tab", { name: "Text" }).click());
    assert.equal(await page.locator(".flow .token").count(), count);
    for (const [direction, at] of [
      ["takes from", (selected, other) => [selected, other]],
      ["gives to", (selected, other) => [other, selected]],
    ]) {
      await choose(page, "The selected token", direction);
      for (const selected of [0, 4, count - 1]) {
        const chosen = page.locator(`.token[data-index="${selected}"]`);
        if ((await chosen.getAttribute("aria-pressed")) !== "true") await redrawn(page, () => chosen.click());
        for (const other of [count - 1, 1, selected]) {
          await page.mouse.move(0, 0);
          await page.locator(`.token[data-index="${other}"]`).hover();
          const shown = await page.locator(".text-readout b").first().getAttribute("data-value");
          const [row, column] = at(selected, other);
          assertShown(shown, file.value("layers.0.norms.attn", row, column), `text ${row}, ${column}`);
        }
      }
    }

    await redrawn(page, () => page.getByRole("tab", { name: "Before and after" }).click());
    for (let layer = 0; layer < layers; layer++) {
      await choose(page, "Layer", String(layer));
      for (let before = 0; before + 1 < scopes.length; before++) {
        await select(page, "Before", 2 + before);
        await select(page, "After", 3 + before);
        const [row, column] = cells(count, count, layer + before)[3];
        await hover(page, page.locator(".heatmap").first(), row, column);
        const shown = await page.locator(".text-readout b").evaluateAll((all) => all.map((b) => b.dataset.value));
        for (const [index, scope] of [scopes[before], scopes[before + 1]].entries()) {
          const key = `layers.${layer}.norms.${scope}`;
          assertShown(shown[index], file.value(key, row, column), `${key}[${row}, ${column}]`);
        }
      }
    }
    await close();
    file.close();
  });
}

test("the mean over heads is the mean of the file's heads", async () => {
  const file = new AnalysisFile(manifest.bert.files[0]);
  const { page, close } = await open("bert");
  const heatmap = page.locator(".stage .heatmap");
  await select(page, "Map", 0);
  await choose(page, "Head", "mean");
  const [heads, count] = file.shape("layers.0.attention_weights");
  for (const [row, column] of cells(count, count, 1)) {
    const { value } = await readMap(page, heatmap, row, column);
    let sum = 0;
    for (let head = 0; head < heads; head++) sum += file.value("layers.0.attention_weights", head, row, column);
    assertShown(value, sum / heads, `mean of ${row}, ${column}`, 1);
  }
  await close();
  file.close();
});

test("darker is more: the largest and the smallest cell have the ends of the colours", async () => {
  const file = new AnalysisFile(manifest.bert.files[0]);
  const { page, close } = await open("bert");
  const count = file.tokens.length;
  const all = Array.from({ length: count * count }, (_, i) => ({
    row: Math.floor(i / count),
    column: i % count,
    value: file.value("layers.0.norms.attn", Math.floor(i / count), i % count),
  })).sort((a, b) => a.value - b.value);
  const ranked = [0, 0.5, 0.9, 0.97, 1].map((share) => all[Math.round(share * (all.length - 1))]);
  const shades = await page.locator(".stage .heatmap").evaluate((root, places) => {
    const { left, top, cellWidth, cellHeight } = JSON.parse(root.dataset.box);
    const canvas = root.querySelector("canvas");
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return places.map(({ row, column }) => {
      const x = Math.floor((left + (column + 0.5) * cellWidth) * window.devicePixelRatio);
      const y = Math.floor((top + (row + 0.5) * cellHeight) * window.devicePixelRatio);
      const [r, g, b] = data.subarray(4 * (y * canvas.width + x));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    });
  }, ranked);
  for (let i = 1; i < shades.length; i++) assert.ok(shades[i] <= shades[i - 1], shades.join(" "));
  assert.ok(shades.at(-1) < 60 && shades[0] > 225, shades.join(" "));
  await close();
  file.close();
});

test("several texts: each has its own values, and statistics cover all", async () => {
  const files = manifest.several.files.map((path) => new AnalysisFile(path));
  const { page, close } = await open("several");
  for (const [index, file] of files.entries()) {
    await select(page, "Text", index);
    const count = file.tokens.length;
    for (const [row, column] of cells(count, count, index)) {
      const { names, value } = await readMap(page, page.locator(".stage .heatmap"), row, column);
      assert.deepEqual(names, [file.tokens[row], file.tokens[column]]);
      assertShown(value, file.value("layers.0.norms.attn", row, column), `text ${index}`);
    }
  }
  await redrawn(page, () => page.getByRole("tab", { name: "Statistics" }).click());
  const cell = async (caption, row, column) => {
    const table = page.locator("table", { has: page.locator("caption", { hasText: caption }) }).first();
    return table.locator("tbody tr").nth(row).locator("td").nth(column).textContent();
  };
  // The largest attention weight of head 1 in layer 2 over both texts.
  await choose(page, "Of each head", "max");
  let max = 0;
  for (const file of files) {
    const count = file.tokens.length;
    for (let i = 0; i < count; i++) for (let j = 0; j < count; j++)
      max = Math.max(max, file.value("layers.2.attention_weights", 1, i, j));
  }
  assertShown(await cell("attention weights α: max", 2, 1), max, "largest weight");
  // What [CLS] receives in layer 0: Σ α over targets, by head and text.
  let received = 0;
  for (const file of files) {
    const [heads, count] = file.shape("layers.0.attention_weights");
    for (let head = 0; head < heads; head++) for (let i = 0; i < count; i++)
      received += file.value("layers.0.attention_weights", head, i, 0) / count / heads / files.length;
  }
  assertShown(await cell("Attention to a category", 0, 0), received, "attention to [CLS]");
  await close();
  for (const file of files) file.close();
});

test("translation: cross maps have the decoder's tokens as rows, the encoder's as columns", async () => {
  const file = new AnalysisFile(manifest.translation.files[0]);
  const { page, close } = await open("translation");
  const tokens = {
    encoder: JSON.parse(file.metadata["encoder.tokens"]),
    decoder: JSON.parse(file.metadata["decoder.tokens"]),
  };
  const heatmap = page.locator(".stage .heatmap");
  for (const [part, rows, columns, weights, scope] of [
    [0, "encoder", "encoder", "encoder.layers.1.attention_weights", "encoder.layers.1.norms.attn"],
    [1, "decoder", "decoder", "decoder.layers.1.attention_weights", "decoder.layers.1.norms.attn"],
    [2, "decoder", "encoder", "decoder.layers.1.cross_attention_weights", "decoder.layers.1.norms.cross_attn"],
  ]) {
    await select(page, "Part", part);
    await choose(page, "Layer", "1");
    for (const [map, head, key] of [[0, 1, weights], [2, null, scope]]) {
      await select(page, "Map", map);
      if (head !== null) await choose(page, "Head", String(head));
      for (const [row, column] of cells(tokens[rows].length, tokens[columns].length, part)) {
        const { names, value } = await readMap(page, heatmap, row, column);
        assert.deepEqual(names, [tokens[rows][row], tokens[columns][column]]);
        const place = head === null ? [row, column] : [head, row, column];
        assertShown(value, file.value(key, ...place), `${key}[${place}]`);
      }
    }
  }
  for (const view of ["2", "3", "4", "5", "6"]) await press(page, view);
  await close();
  file.close();
});
