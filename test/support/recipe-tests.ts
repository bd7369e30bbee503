import { randomUUID } from "node:crypto";
import { beforeEach, describe, expect, test } from "vitest";
import { type PageSource, recipePage } from "./recipe-page.ts";
import {
  ask,
  holdRequests,
  itemsIn,
  press,
  rename,
  shows,
  showsWhatIsStored,
  titlesIn,
  watchTexts,
} from "./recipe-steps.ts";

const question = "Why do tides turn?";

interface RecipeOptions {
  /** The list shows a new title before the server responds, and the old one again if it refuses: that is shown, or logged. */
  refusal?: "shown" | "logged";
  /** How many chats the list asks for. By default it leaves that to the handler. */
  pageSize?: number;
  /** The path of a chat that does not exist yet. Its id is the page's own, unless it is in the path. */
  newChat?: () => string;
}

/** What every recipe of the docs has to do, with the list and the conversation as they print them. */
export function testRecipe(
  name: string,
  source: PageSource,
  { refusal, pageSize = 4, newChat = () => `/?id=${randomUUID()}` }: RecipeOptions = {},
) {
  const recipe = recipePage(source, { pageSize: 4 });
  // A chat that does not exist yet.
  beforeEach(() => recipe.allowComplaint("404"));

  describe(`The recipe for ${name}`, () => {
    test("the list shows the stored chats, in pages", async () => {
      const user = await newUser();
      const titles = Array.from({ length: pageSize + 2 }, (_, index) => `Chat ${index}`);
      for (const title of titles.toReversed()) await user.addChat({ title });
      const page = await user.open();
      await expect.poll(() => titlesIn(page)).toEqual(titles.slice(0, pageSize));
      await page.getByRole("button", { name: "More chats" }).click();
      await expect.poll(() => titlesIn(page)).toEqual(titles);
      expect(await page.getByRole("button", { name: "More chats" }).count()).toBe(0);

      // The list is loaded again, and keeps its pages.
      await rename(page, titles.at(-1) ?? "", "Tides");
      await expect.poll(() => titlesIn(page)).toEqual([...titles.slice(0, -1), "Tides"]);
      const [first = ""] = titles;
      await itemsIn(page).first().click();
      await shows(page, [`${first}?`, `${first}.`]);
    });

    test("an answer streams, ends stored, and is there after a reload", async () => {
      const { user, page, id } = await openNewChat();
      await ask(page, question);
      const voice = await user.voice();
      voice.say("The moon ");
      await shows(page, [question, "The moon"]);
      await expect.poll(() => titlesIn(page)).toEqual([question]);
      voice.say("pulls.");
      await voice.finish();
      await showsWhatIsStored(user, page, await id(), [question, "The moon pulls."]);

      await ask(page, "And then?");
      (await user.voice(2)).say("They turn.");
      await (await user.voice(2)).finish();
      const all = [question, "The moon pulls.", "And then?", "They turn."];
      await showsWhatIsStored(user, page, await id(), all);
      const resumed = page.waitForResponse(/\/stream/);
      await page.reload();
      await shows(page, all);
      // The page names the version that it shows, so that the server does not send its last answer again.
      const { version } = (await recipe.store.getChat({ userId: user.userId, chatId: await id() })) ?? {};
      expect(new URL((await resumed).url()).searchParams.get("version")).toBe(String(version));
      expect((await resumed).status()).toBe(204);
    });

    test("a reload in the middle of an answer goes on to its end", async () => {
      const { user, page, id } = await openNewChat();
      await ask(page, question);
      const voice = await user.voice();
      voice.say("The moon ");
      await shows(page, [question, "The moon"]);
      await page.reload();
      await shows(page, [question, "The moon"]);
      await page.getByRole("button", { name: "Stop" }).waitFor();
      voice.say("pulls.");
      await shows(page, [question, "The moon pulls."]);
      await voice.finish();
      await showsWhatIsStored(user, page, await id(), [question, "The moon pulls."]);
    });

    test("stop stops the model, and the page shows just what is stored", async () => {
      const { user, page, id } = await openNewChat();
      await ask(page, question);
      const voice = await user.voice();
      voice.say("The moon ");
      await shows(page, [question, "The moon"]);
      await page.getByRole("button", { name: "Stop" }).click();
      await voice.aborted;
      await showsWhatIsStored(user, page, await id(), [question, "The moon"]);
      await ask(page, "Go on");
      (await user.voice(2)).say("It pulls.");
      await (await user.voice(2)).finish();
      await showsWhatIsStored(user, page, await id(), [question, "The moon", "Go on", "It pulls."]);
    });

    test("a second tab's new chat, question and answer appear", async () => {
      const user = await newUser();
      const { id } = await user.addChat({ title: "Tides" });
      const [first, second] = [await user.open(`/?id=${id}`), await user.open(`/?id=${id}`)];
      for (const page of [first, second]) await shows(page, ["Tides?", "Tides."]);
      await ask(second, question);
      const voice = await user.voice();
      voice.say("The moon ");
      for (const page of [first, second]) await shows(page, ["Tides?", "Tides.", question, "The moon"]);
      voice.say("pulls.");
      await voice.finish();
      const all = ["Tides?", "Tides.", question, "The moon pulls."];
      for (const page of [first, second]) await showsWhatIsStored(user, page, id, all);

      await second.goto(new URL(newChat(), recipe.url).href);
      await ask(second, "And the wind?");
      await (await user.voice(2)).finish();
      await expect.poll(() => titlesIn(first)).toEqual(["And the wind?", "Tides"]);
      await shows(first, all);
    });

    test("a chat that is on its way when the user asks takes no question away", async () => {
      const user = await newUser();
      const { id } = await user.addChat({ title: "Tides" });
      const [first, second] = [await user.open(`/?id=${id}`), await user.open()];
      await shows(first, ["Tides?", "Tides."]);
      const held = await holdRequests(first, "GET");
      await rename(second, "Tides", "The moon");
      await held.begun();
      await ask(first, question);
      const voice = await user.voice();
      voice.say("The moon ");
      await shows(first, ["Tides?", "Tides.", question, "The moon"]);
      await held.letGo();
      await expect.poll(() => titlesIn(first)).toEqual(["The moon"]);
      await voice.finish();
      await showsWhatIsStored(user, first, id, ["Tides?", "Tides.", question, "The moon"]);
    });

    const asked = "a question that is asked while the page looks for a running answer gets its own, once";
    test.each(["request", "response"] as const)(`${asked} (%s)`, async (held) => {
      const user = await newUser();
      const { id } = await user.addChat({ title: "Tides" });
      const page = await user.open();
      const resume = await holdRequests(page, "GET", { url: /\/stream/, held });
      await page.goto(new URL(`/?id=${id}`, recipe.url).href);
      await shows(page, ["Tides?", "Tides."]);
      await resume.begun();
      const answer = page.waitForResponse((response) => response.request().method() === "POST");
      await ask(page, question);
      const voice = await user.voice();
      await answer;
      // Otherwise the page would load the chat, and show nothing but what it has then.
      expect(await page.getByRole("button", { name: "Stop" }).count()).toBe(1);
      voice.say("The moon ");
      await shows(page, ["Tides?", "Tides.", question, "The moon"]);
      await resume.letGo();
      await page.getByRole("button", { name: "Stop" }).waitFor();
      voice.say("pulls.");
      await voice.finish();
      await showsWhatIsStored(user, page, id, ["Tides?", "Tides.", question, "The moon pulls."]);
    });

    test("rename, archive and delete change the store and the list", async () => {
      const user = await newUser();
      for (const title of ["Tides", "Wind", "Rain"]) await user.addChat({ title });
      const page = await user.open();
      const titles = async () => (await recipe.store.getChats({ userId: user.userId })).map(({ title }) => title);
      await rename(page, "Tides", "The moon");
      await expect.poll(() => titlesIn(page)).toEqual(["Rain", "Wind", "The moon"]);
      await expect.poll(titles).toEqual(["Rain", "Wind", "The moon"]);
      await press(page, "Wind", "Archive");
      await expect.poll(() => titlesIn(page)).toEqual(["Rain", "The moon"]);
      await press(page, "The moon", "Delete");
      await expect.poll(() => titlesIn(page)).toEqual(["Rain"]);
      await expect.poll(titles).toEqual(["Rain"]);
      const archived = await recipe.store.getChats({ userId: user.userId, archived: true });
      expect(archived.map(({ title }) => title)).toEqual(["Wind"]);
    });

    if (!refusal) return;
    test("a change shows at once, and goes if the server refuses it", async () => {
      recipe.allowComplaint("400");
      if (refusal === "logged") recipe.allowComplaint("rename failed");
      const user = await newUser();
      for (const title of ["Tides", "Wind"]) await user.addChat({ title });
      const page = await user.open();
      await expect.poll(() => titlesIn(page)).toEqual(["Wind", "Tides"]);
      const [change, list] = [await holdRequests(page, "PATCH"), await holdRequests(page, "GET")];
      const tooLong = "x".repeat(1_001);
      await rename(page, "Tides", tooLong);
      await expect.poll(() => titlesIn(page)).toEqual(["Wind", tooLong]);
      await change.letGo();
      await expect.poll(() => titlesIn(page)).toEqual(["Wind", "Tides"]);
      if (refusal === "shown") await page.getByRole("alert").waitFor();
      await list.letGo();
      await expect.poll(() => titlesIn(page)).toEqual(["Wind", "Tides"]);
    });
  });

  return { openNewChat };

  async function newUser() {
    const user = await recipe.newUser();
    await user.context.addInitScript(watchTexts);
    return user;
  }

  async function openNewChat() {
    const user = await newUser();
    const page = await user.open(newChat());
    const id = async () => {
      const [chat] = await recipe.store.getChats({ userId: user.userId });
      return chat?.id ?? expect.fail("no chat is stored");
    };
    return { user, page, id };
  }
}
