import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect } from "vitest";
import {
  allowComplaint,
  animationsHaveEnded,
  answered,
  archive,
  archivedLinks,
  becomeUser,
  chatOf,
  interactive,
  menu,
  messageBox,
  model,
  more,
  newUser,
  open,
  pathOf,
  phone,
  screenshots,
  send,
  server,
  showChats,
  test,
  textsOf,
} from "../support/browser.ts";
import { isLong } from "../support/long-run.ts";
import { folder as exampleFolder, type NextApp, startNextApp } from "../support/next-app.ts";
import { createRecorder, tabSize } from "../support/recorder.ts";

// `npm run pictures` puts them where the READMEs show them.
const isUpdate = Boolean(process.env.UPDATE_SCREENSHOTS);
const folder = isUpdate ? exampleFolder : screenshots;

describe("the README's pictures", () => {
  // Without a key: its own mock model answers.
  let app: NextApp;
  beforeAll(async () => {
    app = await startNextApp();
  });
  afterAll(() => app?.stop());
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
        const packing = await chatOf(context, ["A packing list for two days in Lisbon"], app.url);
        const id = packing.slice("/?chatId=".length);
        await context.request.patch(`${app.url}/api/chat/${id}`, { data: { archived: true } });
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
      await animationsHaveEnded(page);
      const { byteLength } = await page.screenshot({ path: join(folder, `${name}.png`) });
      expect(byteLength).toBeLessThan(200_000);
    };
    await send(page, "Book a table for two");
    await page.getByRole("button", { name: "Allow" }).waitFor();
    await answered(page, 4);
    if (viewport === phone) await picture(name);
    await showChats(page);
    await archive(page).click();
    await expect.poll(() => archivedLinks(page).isVisible()).toBe(true);
    await more(page, "How do I query my chats in SQL?").click();
    await menu(page).waitFor();
    await picture(viewport === phone ? `${name}-chats` : name);
  });
});

describe("the README's recording", () => {
  const question = "Why do elephants never forget?";
  const answer =
    "They have the **largest brain** of all animals on land, and use it: a matriarch of sixty knows the way to water that " +
    "she walked as a calf.\n\nHerds led by *older* cows lose fewer calves in a drought. Memory is how the whole family " +
    "survives.\n\nAnd so does this answer: each word is stored before the next one comes.";
  const words = answer.match(/\S+\s*/g) ?? [];

  test.runIf(isUpdate || isLong)("a recording shows a reload, a second tab and a server that is killed", async () => {
    allowComplaint("net::ERR_");
    const recorder = await createRecorder(await newUser());
    const context = await becomeUser({ viewport: tabSize });
    const page = await open();
    let tabs: Page[] = [page];
    const take = (caption: string, milliseconds = 250) => recorder.take(caption, [tabs[0], tabs[1]], milliseconds);
    /** The model says these words, and all tabs show them. */
    const say = async (caption: string, { say }: { say(text: string): void }, from: number, to: number) => {
      for (let count = from; count < to; count += 3) {
        say(words.slice(count, count + 3).join(""));
        const last = words[Math.min(count + 2, to - 1)]?.replace(/[*\s]/g, "") ?? "";
        for (const tab of tabs)
          await expect.poll(async () => (await textsOf(tab)).at(-1)).toMatch(new RegExp(`${last}$`));
        await take(caption);
      }
    };

    await interactive(page);
    await messageBox(page).fill(question);
    await take("Ask a question", 1_000);
    const held = model.hold(question, answer);
    await send(page, question);
    await held.begun;
    await say("The answer streams", held, 6, 15);
    await page.reload();
    await expect.poll(async () => (await textsOf(page)).at(-1)).toMatch(/use it/);
    await take("Reload in the middle of the answer: it streams on", 1_200);
    await say("Reload in the middle of the answer: it streams on", held, 15, 24);
    const other = await open(pathOf(page), context);
    tabs = [page, other];
    await say("A second tab shows it, too", held, 24, 36);
    await server.end("SIGKILL");
    for (const tab of tabs) await tab.getByText("Connection lost").waitFor();
    await take("Kill the server", 2_500);
    await server.start();
    for (const tab of tabs) await tab.getByText("This answer is not complete.").waitFor();
    await take("Start it again: the words are there", 2_500);
    await page.reload();
    await page.getByText("This answer is not complete.").waitFor();
    const again = model.hold(question, answer);
    await other.getByRole("button", { name: "Try again" }).click();
    await again.begun;
    await say("Try again", again, 6, words.length);
    again.finish();
    for (const tab of tabs) await answered(tab, 2);
    await take("Nothing was lost", 3_000);
    const recording = recorder.finish();
    expect(recording.byteLength).toBeLessThan(1_000_000);
    writeFileSync(join(folder, "recording.png"), recording);
  });
});
