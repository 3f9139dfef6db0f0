import { rasterJobId } from "@loc2vec/queue";
import { type Browser, chromium } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { chromiumLaunch } from "../../../test/support/chromium.ts";
import { freshBoard, PASSWORD, STORE, work } from "./helpers.ts";

let browser: Browser;

beforeAll(async () => {
  browser = await chromium.launch(chromiumLaunch());
});

afterAll(() => browser?.close());

test("somebody logs in, reads why a shard failed, and has it tried again", async () => {
  const { url, queues } = await freshBoard();
  let mended = false;
  const worker = work(queues, "raster", async () => {
    if (!mended) throw new Error("the map ends at 60.1, 24.9");
  });
  const failed = new Promise((resolve) => worker.once("failed", resolve));
  const job = await queues.raster.add(
    "shard",
    { store: STORE, dataset: "city", shard: 7 },
    { jobId: rasterJobId({ store: STORE, dataset: "city", shard: 7 }), attempts: 1 },
  );
  await failed;

  const stranger = await browser.newPage();
  await expect(stranger.goto(url)).rejects.toThrow("ERR_INVALID_AUTH_CREDENTIALS");
  expect((await stranger.request.get(url)).status()).toBe(401);
  await stranger.context().close();

  const context = await browser.newContext({ httpCredentials: { username: "me", password: PASSWORD } });
  const page = await context.newPage();
  const troubles: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error") troubles.push(message.text());
  });
  page.on("pageerror", (error) => troubles.push(error.message));
  expect((await page.goto(url))?.status()).toBe(200);
  await page.getByRole("link", { name: "raster" }).first().click();
  await page
    .getByRole("link", { name: /failed/i })
    .first()
    .click();
  await page.getByText("the map ends at 60.1, 24.9").first().waitFor();
  await page.getByRole("link", { name: `city.7@${STORE}` }).click();
  await page.waitForURL(`**/queue/raster/city.7*${STORE}**`);
  await page.getByText("the map ends at 60.1, 24.9").first().waitFor();
  if (process.env.BOARD_SCREENSHOT !== undefined)
    await page.screenshot({ path: process.env.BOARD_SCREENSHOT });

  mended = true;
  // The button has no name but in its tooltip.
  const retry = page.locator("main li button").first();
  await retry.hover();
  await page.getByText("Retry", { exact: true }).waitFor();
  await retry.click();
  await page.getByRole("button", { name: "Confirm" }).click();
  await expect.poll(() => job.getState()).toBe("completed");
  expect(await queues.raster.getFailedCount()).toBe(0);
  // The page needs nothing that its policy forbids, but for fonts from elsewhere.
  expect(troubles.filter((line) => !line.includes("https://fonts.googleapis.com/"))).toEqual([]);
  await context.close();
});
