import { describe, expect } from "vitest";
import {
  alertInMain,
  allowComplaint,
  answered,
  ask,
  askAndHold,
  chatOf,
  focused,
  interactive,
  messageBox,
  messages,
  open,
  pathOf,
  send,
  test,
  textsOf,
  user,
} from "../support/browser.ts";
import { held } from "../support/held-requests.ts";

describe("a slow server", () => {
  test("a chat that the user opens is marked at once, and the page says that it loads", async () => {
    const apples = await chatOf(user, ["Apples"]);
    const page = await open(await chatOf(user, ["Pears"]));
    await interactive(page);
    const loads = await held(page, /\/api\/chat\/[^/?]+\?limit/);
    await page.getByRole("link", { name: "Apples" }).click();
    await expect.poll(() => page.locator("[aria-current=page]").innerText()).toBe("Apples");
    expect(pathOf(page)).toBe(apples);
    await page.getByRole("main").getByText("Opening the chat").waitFor();
    expect(await messages(page).count()).toBe(0);
    loads.release();
    expect((await answered(page, 2))[0]).toBe("Apples");
    await expect.poll(() => focused(page)).toBe("Message");
  });

  test("a chat that cannot be loaded says so in the page, and is loaded by the next try", async () => {
    allowComplaint("ERR_FAILED");
    await chatOf(user, ["Apples"]);
    const page = await open(await chatOf(user, ["Pears"]));
    await interactive(page);
    await page.route("**/api/chat/*", (route) => route.abort());
    await page.getByRole("link", { name: "Apples" }).click();
    await alertInMain(page).waitFor();
    await page.unroute("**/api/chat/*");
    await page.getByRole("main").getByRole("button", { name: "Try again" }).click();
    expect((await answered(page, 2))[0]).toBe("Apples");
  });

  test("the user can stop a question that has not reached the model yet", async () => {
    const page = await open();
    await interactive(page);
    const posts = await held(page, "**/api/chat");
    await send(page, "Too hasty");
    await expect.poll(() => page.getByRole("button", { name: "Stop", exact: true }).count()).toBe(1);
    await page.getByRole("button", { name: "Stop", exact: true }).click();
    posts.release();
    await expect.poll(() => page.getByRole("button", { name: "Send" }).count()).toBe(1);
    expect((await textsOf(page))[0]).toBe("Too hasty");
  });
});

describe("drafts", () => {
  test("each chat keeps its draft while the user looks at another chat, and after a reload", async () => {
    const apples = await chatOf(user, ["Apples"]);
    const page = await open(await chatOf(user, ["Pears"]));
    await interactive(page);
    await messageBox(page).fill("More pears");
    await page.getByRole("link", { name: "Apples" }).click();
    await expect.poll(() => pathOf(page)).toBe(apples);
    await expect.poll(() => messageBox(page).inputValue()).toBe("");
    await messageBox(page).fill("More apples");
    await page.goBack();
    await expect.poll(() => messageBox(page).inputValue()).toBe("More pears");
    await page.reload();
    await expect.poll(() => messageBox(page).inputValue()).toBe("More pears");
    await page.getByRole("link", { name: "Apples" }).click();
    await expect.poll(() => messageBox(page).inputValue()).toBe("More apples");
    await expect.poll(() => textsOf(page)).toHaveLength(2);
    // A draft that was sent is gone.
    await ask(page, "More apples");
    await page.reload();
    await answered(page, 4);
    expect(await messageBox(page).inputValue()).toBe("");
  });
});

describe("an answer that is not complete", () => {
  test("a stopped answer is marked, also after a reload and in another tab, and the user can try again", async () => {
    const page = await open();
    const held = await askAndHold(page, "Stop it");
    await page.getByRole("button", { name: "Stop", exact: true }).click();
    await held.aborted;
    const mark = "This answer is not complete.";
    await page.getByRole("main").getByText(mark).waitFor();
    await page.reload();
    await page.getByRole("main").getByText(mark).waitFor();
    const other = await open(pathOf(page));
    await other.getByRole("main").getByText(mark).waitFor();
    await other.getByRole("button", { name: "Try again" }).click();
    const texts = await answered(other, 2);
    expect(texts[1]).toContain('You asked "Stop it"');
    for (const tab of [other, page]) {
      await expect.poll(() => tab.getByRole("main").getByText(mark).count()).toBe(0);
      expect(await answered(tab, 2)).toEqual(texts);
    }
  });
});
