import type { Page } from "playwright-core";
import { describe, expect } from "vitest";
import {
  ask,
  becomeUser,
  chatOf,
  expectAccessible,
  idle,
  log,
  type ManyChats,
  messages,
  model,
  open,
  send,
  test,
  textsOf,
  user,
} from "../support/browser.ts";

const answer = (page: Page) => messages(page, "assistant").last();

describe("the parts of a message", () => {
  let chats: ManyChats;
  test.beforeEach(async ({ user: _, manyChats }) => {
    chats = manyChats;
    await becomeUser({ storageState: chats.storageState });
  });

  test("every kind of part is shown, and texts beside each other are not glued", async () => {
    const page = await open(chats.parts);
    const text = await answer(page).innerText();
    expect(text).toMatch(/Let me look\.\s*\n[\s\S]*It is 21 °C\./);
    await answer(page).getByText("Reasoning").click();
    await answer(page).getByText("This needs a *thermometer*.").waitFor();

    const cards = answer(page).locator("summary");
    expect(await cards.allInnerTexts()).toEqual([
      "Reasoning",
      expect.stringMatching(/^weather\s+output available$/),
      expect.stringMatching(/^forecast\s+output error$/),
    ]);
    await cards.nth(1).click();
    await answer(page).getByText('"celsius": 21').waitFor();
    await answer(page).getByText('"city": "Lund"').waitFor();
    await cards.nth(2).click();
    await answer(page).getByText("The forecast is closed.").waitFor();

    const source = answer(page).getByRole("link", { name: "Weather in Lund" });
    expect(await source.getAttribute("href")).toBe("https://example.com/weather");
    expect(await source.getAttribute("target")).toBe("_blank");
    await answer(page).getByText("The climate of Scania").waitFor();
    await answer(page).getByText("hologram").waitFor();
    expect(await answer(page).innerText()).not.toContain("not to be shown");
    await expectAccessible(page);
  });

  test("a message shows its files: an image with its name, another file as a link", async () => {
    const page = await open(chats.parts);
    const question = messages(page, "user").first();
    await question.getByRole("img", { name: "map.png" }).waitFor();
    const file = question.getByRole("link", { name: "report.pdf" });
    expect(await file.getAttribute("href")).toBe("https://example.com/report.pdf");
    expect(await question.innerText()).toContain("How warm is it here?");
  });

  test("a message that is only a tool call shows it", async () => {
    const page = await open(chats.call);
    await answer(page).getByText("weather").waitFor();
  });
});

test("an image in an answer is not loaded, and its description is shown instead", async () => {
  model.reply("A picture?", "Here: ![a grey elephant](https://example.com/x.png)");
  const page = await open(await chatOf(user, ["A picture?"]));
  await answer(page).getByText("a grey elephant").waitFor();
  expect(await log(page).locator("img").count()).toBe(0);
});

describe("a tool that asks before it acts", () => {
  const question = "A table for two, please";
  const booking = { restaurant: "Da Gino", guests: 2, time: "19:30" };
  const allow = (page: Page) => answer(page).getByRole("button", { name: "Allow" });
  const deny = (page: Page) => answer(page).getByRole("button", { name: "Deny" });
  const openAsking = async () => {
    const page = await open();
    model.call(question, { name: "bookTable", input: booking });
    await send(page, question);
    await allow(page).waitFor();
    await idle(page);
    return page;
  };

  test.each(["at once", "after a reload"])(
    "the tool acts when the user allows it %s, and the answer goes on",
    async (when) => {
      const page = await openAsking();
      await answer(page).getByText("Da Gino").first().waitFor();
      await expectAccessible(page);
      if (when === "after a reload") await page.reload();
      await allow(page).click();
      await answer(page).getByText("This is answer 1 of our chat.").waitFor();
      await idle(page);
      expect(await allow(page).count()).toBe(0);
      await page.reload();
      expect((await textsOf(page))[1]).toContain("This is answer 1 of our chat.");
      expect(await messages(page).count()).toBe(2);
      expect(await ask(page, "Thank you")).toHaveLength(4);
    },
  );

  test.each(["at once", "after a reload"])(
    "the tool does not act when the user denies it %s, and the answer goes on",
    async (when) => {
      const page = await openAsking();
      if (when === "after a reload") await page.reload();
      await deny(page).click();
      await answer(page).getByText("This is answer 1 of our chat.").waitFor();
      await idle(page);
      expect(await textsOf(page)).toEqual([question, expect.stringMatching(/denied/i)]);
      expect(await deny(page).count()).toBe(0);
      await page.reload();
      expect((await textsOf(page))[1]).toMatch(/denied/i);
    },
  );
});
