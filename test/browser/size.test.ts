import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test as plainTest } from "vitest";
import { answered, askAndHold, chatOf, interactive, server, test, user } from "../support/browser.ts";
import { folder } from "../support/next-app.ts";

const maxLines = 1_160;

describe("the size of the example", () => {
  plainTest(`the example has at most ${maxLines} lines of TypeScript, blank lines and comments included`, () => {
    const made = /^(node_modules|\.next|\.data)\/|^next-env\.d\.ts$/;
    const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter(
      (file) => /\.tsx?$/.test(file) && !made.test(file),
    );
    const lines = files.map((file) => readFileSync(join(folder, file), "utf8").split("\n").length - 1);
    expect(lines.reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(maxLines);
  });

  test("the first page of a chat takes few requests and little JavaScript, and nothing in it shifts", async () => {
    const path = await chatOf(user, ["Apples", "Pears"]);
    const page = await user.newPage();
    await page.addInitScript(`
      window.shifts = [];
      new PerformanceObserver((list) => window.shifts.push(...list.getEntries().map(({ value }) => value)))
        .observe({ type: "layout-shift", buffered: true });
    `);
    const shifted = () => page.evaluate<number>("window.shifts.reduce((sum, value) => sum + value, 0)");
    const client = await user.newCDPSession(page);
    await client.send("Network.enable");
    const [urls, scripts] = [[] as string[], new Set<string>()];
    let bytes = 0;
    client.on("Network.responseReceived", ({ requestId, response }) => {
      urls.push(response.url);
      if (response.mimeType.includes("javascript")) scripts.add(requestId);
    });
    client.on("Network.loadingFinished", ({ requestId, encodedDataLength }) => {
      if (scripts.has(requestId)) bytes += encodedDataLength;
    });
    await page.goto(server.url + path, { waitUntil: "networkidle" });
    await interactive(page);
    expect(urls.length, urls.join("\n")).toBeLessThanOrEqual(14);
    // Compressed.
    expect(bytes).toBeLessThan(310_000);
    expect(await shifted()).toBe(0);

    const held = await askAndHold(page, "Plums");
    held.say("\n\nmore".repeat(5));
    held.finish();
    await answered(page, 6);
    expect(await shifted()).toBeLessThan(0.01);
  });
});
