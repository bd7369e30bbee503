import { describe, expect, onTestFinished } from "vitest";
import {
  allowComplaint,
  answered,
  ask,
  askAndHold,
  chatIdOf,
  chatLinks,
  chatOf,
  choose,
  comeBack,
  interactive,
  keepsDocument,
  messageBox,
  open,
  pathOf,
  request,
  server,
  showsFirstWords,
  test,
  textsOf,
  toast,
  user,
} from "../support/browser.ts";
import { cuttingProxy } from "../support/cutting-proxy.ts";
import { answerTo } from "../support/model-server.ts";

/** The browser's own lines about requests that found no server. */
const noServer = "net::ERR_";

describe("offline", () => {
  test("a draft and the page survive a return to the tab while the browser is offline", async () => {
    allowComplaint(noServer);
    const page = await open(await chatOf(user, ["Apples"]));
    const texts = await answered(page, 2);
    await interactive(page);
    const isSame = await keepsDocument(page);
    await messageBox(page).fill("A draft");
    await user.setOffline(true);
    const failed = page.waitForEvent("requestfailed");
    await comeBack(page);
    await failed;
    expect(await textsOf(page)).toEqual(texts);
    expect(await messageBox(page).inputValue()).toBe("A draft");

    // From another device.
    const [id, data] = [chatIdOf(page), { title: "Fruit" }];
    expect((await request(user, "PATCH", "", { id, data })).status()).toBe(200);
    await user.setOffline(false);
    await expect.poll(() => chatLinks(page).allInnerTexts()).toEqual(["Fruit"]);
    expect(await messageBox(page).inputValue()).toBe("A draft");
    expect(await isSame()).toBe(true);
  });

  test.each(["Archive", "Rename"] as const)(
    "the page stays when the user chooses %s while the browser is offline, and says that it did not work",
    async (action) => {
      allowComplaint(noServer);
      const page = await open(await chatOf(user, ["Apples"]));
      const texts = await answered(page, 2);
      await interactive(page);
      const isSame = await keepsDocument(page);
      await user.setOffline(true);
      await choose(page, "Apples", action);
      if (action === "Rename") {
        await page.getByRole("textbox", { name: "Title" }).fill("Pears");
        await page.keyboard.press("Enter");
      }
      await toast(page, "The network connection was lost.").waitFor();
      await expect.poll(() => chatLinks(page).allInnerTexts()).toEqual(["Apples"]);
      expect(await textsOf(page)).toEqual(texts);
      await user.setOffline(false);
      expect(await ask(page, "Pears")).toHaveLength(4);
      expect(await isSame()).toBe(true);
    },
  );
});

describe("a network that fails in mid-answer", () => {
  const question = "What if the network fails?";
  const openBehindProxy = async () => {
    const proxy = await cuttingProxy(server.url);
    onTestFinished(() => proxy.close());
    const page = await open(proxy.url);
    return { proxy, page, isSame: await keepsDocument(page) };
  };

  test("a page joins the answer again after each cut of its connection, and shows it whole and once", async () => {
    allowComplaint(noServer);
    const { proxy, page, isSame } = await openBehindProxy();
    const held = await askAndHold(page, question);
    for (const word of ["one", "two", "three"]) {
      proxy.cut();
      held.say(` ${word}`);
      await expect.poll(async () => (await textsOf(page)).at(-1)).toMatch(new RegExp(`${word}$`));
    }
    held.finish();
    const texts = await answered(page, 2);
    expect(texts[1]?.match(/This is answer/g)).toHaveLength(1);
    expect(await answered(await open(pathOf(page)), 2)).toEqual(texts);
    expect(await ask(page, "And now?")).toHaveLength(4);
    expect(await isSame()).toBe(true);
  });

  test("a page stays while the network is gone, and shows the whole answer once it is back, by itself", async () => {
    allowComplaint(noServer);
    const { proxy, page, isSame } = await openBehindProxy();
    const held = await askAndHold(page, question);
    const said = await showsFirstWords(page);
    proxy.down();
    await page.getByRole("main").getByText("Connection lost").waitFor();
    await comeBack(page);
    expect((await textsOf(page))[1]).toContain(said);
    held.finish();
    const whole = answerTo([question]).replaceAll("**", "");
    // On the other side, it is there.
    const other = await open(server.url + pathOf(page));
    await expect.poll(async () => (await textsOf(other))[1]).toBe(whole);
    proxy.up();
    await expect.poll(async () => (await textsOf(page))[1]).toBe(whole);
    await answered(page, 2);
    expect(await isSame()).toBe(true);
  });

  test("a page stays when the browser goes offline in mid-answer, and joins the answer when it is online again", async () => {
    allowComplaint(noServer);
    const page = await open();
    const isSame = await keepsDocument(page);
    const held = await askAndHold(page, question);
    await user.setOffline(true);
    await comeBack(page);
    held.finish();
    await user.setOffline(false);
    await comeBack(page);
    await expect.poll(async () => (await textsOf(page))[1]).toBe(answerTo([question]).replaceAll("**", ""));
    await answered(page, 2);
    expect(await isSame()).toBe(true);
  });
});
