import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, vi } from "vitest";
import {
  answered,
  archive,
  archivedLinks,
  becomeUser,
  chatOf,
  choose,
  menu,
  messages,
  more,
  newUser,
  open,
  phone,
  screenshots,
  send,
  showChats,
  test,
  textsOf,
} from "../support/browser.ts";
import { folder as exampleFolder, type NextApp, startNextApp } from "../support/next-app.ts";

// The example without a key: its own mock model answers.

let app: NextApp;

async function ask(page: Page, question: string) {
  const before = await messages(page).count();
  await send(page, question);
  return answered(page, before + 2);
}

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
        const answer = document.querySelector("[role=log] article.assistant");
        if (answer) window.lengths.add(answer.innerText.length);
      }).observe(document.querySelector("[role=log]"), { subtree: true, childList: true, characterData: true });
    }`);
    await send(page, "What is the capital of Sweden?");
    const [question, answer] = await answered(page, 2);
    expect(await page.evaluate("window.lengths.size")).toBeGreaterThan(5);
    expect(question).toBe("What is the capital of Sweden?");
    expect(answer).toContain("I am a mock model");
    expect(await messages(page, "assistant").locator("strong").innerText()).toBe("mock model");
  });

  test("the same conversation gets the same answers", async () => {
    const [one, two] = [await open(app.url), await open(app.url, await newUser())];
    for (const question of ["Hello?", "Still there?"]) {
      const [texts, others] = await Promise.all([ask(one, question), ask(two, question)]);
      expect(texts).toEqual(others);
      expect(texts.at(-1)).toContain("I am a mock model");
    }
  });
});

describe("the README's pictures", () => {
  const folder = process.env.UPDATE_SCREENSHOTS ? exampleFolder : screenshots;
  const devices = [
    ["a wide window", { width: 1100, height: 700 }, "screenshot"],
    ["a phone", phone, "screenshot-phone"],
  ] as const;
  /** For each device a user with the same chats, and the path of the last one. */
  let users: { cookies: Awaited<ReturnType<Awaited<ReturnType<typeof newUser>>["storageState"]>>; path: string }[];
  test.beforeAll(async ({ chromium: _ }) => {
    users = await Promise.all(
      devices.map(async () => {
        const context = await newUser();
        await chatOf(context, ["A packing list for two days in Lisbon"], app.url);
        await chatOf(context, ["Name three rivers"], app.url);
        await chatOf(context, ["How do I query my chats in SQL?"], app.url);
        const path = await chatOf(context, ["Why is it called PostgreSQL?"], app.url);
        return { cookies: await context.storageState(), path };
      }),
    );
  });

  test.each(devices)("the README's picture of the page on %s can be taken again", async (device, viewport, name) => {
    const { cookies, path } =
      users[devices.findIndex(([other]) => other === device)] ?? expect.fail("There is no user.");
    await becomeUser({ viewport, hasTouch: viewport === phone, storageState: cookies });
    const page = await open(app.url + path);
    const picture = async (name: string) => {
      const { byteLength } = await page.screenshot({ path: join(folder, `${name}.png`) });
      expect(byteLength).toBeLessThan(200_000);
    };
    await ask(page, "And the elephant?");
    expect((await textsOf(page))[3]).toContain("That is Slonik");
    if (viewport === phone) await picture(name);
    await showChats(page);
    await choose(page, "A packing list for two days in Lisbon", "Archive");
    await archive(page).click();
    await expect.poll(() => archivedLinks(page).isVisible()).toBe(true);
    await more(page, "How do I query my chats in SQL?").click();
    await menu(page).waitFor();
    await picture(viewport === phone ? `${name}-chats` : name);
  });
});
