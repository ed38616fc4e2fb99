// The pictures of docs/report, written when they are asked for.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { choose, hover, manifest, open, press } from "./harness.mjs";

test("screenshots", async () => {
  mkdirSync(manifest.screenshots, { recursive: true });
  const { page, close } = await open("bert", { viewport: { width: 1120, height: 760 } });
  const shoot = async (name) => {
    await page.mouse.move(0, 0);
    await page.screenshot({ path: join(manifest.screenshots, `${name}.png`) });
  };
  await choose(page, "Layer", "1");
  await hover(page, page.locator(".stage .heatmap"), 6, 2);
  await shoot("map");
  await press(page, "t");
  await shoot("map-dark");
  await press(page, "t");
  await press(page, "2");
  await shoot("text");
  await press(page, "3");
  await shoot("mixing");
  await press(page, "4");
  await shoot("before-and-after");
  await press(page, "5");
  await shoot("heads");
  await close();
});
