import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, vi } from "vitest";
import { answered, askAndWait, messages, newUser, open, send, test } from "../support/browser.ts";
import { folder as exampleFolder, type NextApp, startNextApp } from "../support/next-app.ts";

// The example without a key: its own mock model answers.

let app: NextApp;

beforeAll(async () => {
  app = await startNextApp();
});
afterAll(() => app?.stop());

describe("the mock model", () => {
  test("the mock model answers word by word for two seconds", async () => {
    interface MockModel {
      doStream(options: object): Promise<{ stream: ReadableStream<{ type: string }> }>;
    }
    const { mockModel }: { mockModel: MockModel } = await import(
      pathToFileURL(join(exampleFolder, "lib/mock-model.ts")).href
    );
    const prompt = [{ role: "user", content: [{ type: "text", text: "What is the capital of Sweden?" }] }];
    vi.useFakeTimers();
    try {
      const { stream } = await mockModel.doStream({ prompt });
      const [types, started] = [[] as string[], Date.now()];
      const times: number[] = [];
      const read = (async () => {
        for await (const { type } of stream) {
          types.push(type);
          if (type === "text-delta") times.push(Date.now() - started);
        }
      })();
      await vi.advanceTimersByTimeAsync(10_000);
      await read;
      expect(types.at(-1)).toBe("finish");
      expect(times.length).toBeGreaterThan(30);
      expect(times.at(-1)).toBeGreaterThan(1_800);
      expect(times.at(-1)).toBeLessThan(2_200);
      const pauses = times.slice(1).map((time, index) => time - (times[index] ?? 0));
      expect(Math.max(...pauses)).toBeLessThan(200);
      expect(Math.min(...pauses)).toBeGreaterThan(10);
    } finally {
      vi.useRealTimers();
    }
  });

  test("the page shows the answer of the mock model word by word", async () => {
    const page = await open(app.url);
    // Every text of the answer, also where this process is late.
    await page.evaluate(`{
      window.lengths = new Set();
      new MutationObserver(() => {
        const answer = document.querySelector("[role=log] article[aria-label=Assistant]");
        if (answer) window.lengths.add(answer.innerText.length);
      }).observe(document.querySelector("[role=log]"), { subtree: true, childList: true, characterData: true });
    }`);
    await send(page, "What is the capital of Sweden?");
    const [question, answer] = await answered(page, 2);
    expect(await page.evaluate("window.lengths.size")).toBeGreaterThan(5);
    expect(question).toBe("What is the capital of Sweden?");
    expect(answer).toContain("I am a mock model");
    // It is given the end of a long chat only, and cannot know which question this is.
    expect(answer).not.toMatch(/question \d/);
    expect(await messages(page, "assistant").locator("strong").innerText()).toBe("mock model");
  });

  test("the same conversation gets the same answers", async () => {
    const [one, two] = [await open(app.url), await open(app.url, await newUser())];
    for (const question of ["Hello?", "Still there?"]) {
      const [texts, others] = await Promise.all([askAndWait(one, question), askAndWait(two, question)]);
      expect(texts).toEqual(others);
      expect(texts.at(-1)).toContain("I am a mock model");
    }
  });
});
