import { describe, expect } from "vitest";
import { eventually } from "../support/eventually.ts";
import { type App, matrix, type Tab, test } from "../support/react-page.ts";

const settings = { branches: true };

async function answer(app: App, begin: () => unknown, text: string) {
  const count = app.voices.length;
  await begin();
  const voice = await app.voice(count + 1);
  voice.say(text);
  voice.finish();
}

/** A page whose first question was edited, and which receives the answer to a second one. */
async function openEdited(app: App) {
  const chatId = await app.addChat();
  const tab = await app.openTab({ chat: { id: chatId } });
  await tab.ready();
  const firstId = (await tab.read()).ids[0] as string;
  const begin = () => tab.begin("sendMessage", [{ text: "Hey", messageId: firstId }]);
  await answer(app, begin, "Hey!");
  await tab.until("the edit is answered", ({ pickers }) => String(pickers) === "2/2,1/1");
  await tab.ask("And?");
  const voice = await app.voice(2);
  voice.say("Be");
  await tab.shows("Be");
  return { chatId, tab, firstId, voice };
}

const branchIdOf = async (app: App, chatId: string, position: number) => {
  const points = await app.store.getBranches({ userId: app.userId, chatId });
  const branch = points.flatMap(({ branches }) => branches).find((branch) => branch.position === position);
  return branch?.id as string;
};

describe.concurrent.for(matrix)("With React $react and ai $ai, a switch while an answer arrives", (versions) => {
  const ways: Record<string, (app: App, chatId: string, tab: Tab, firstId: string) => Promise<unknown>> = {
    "on the page": (_, __, tab, firstId) => tab.pick("previous", firstId),
    "in another tab": async (app, chatId, _, firstId) => {
      const other = await app.openTab({ chat: { id: chatId } });
      await other.until("it shows the chat", ({ pickers }) => pickers[0] === "2/2");
      await other.pick("previous", firstId);
    },
    "on another device": async (app, chatId) => {
      await app.store.switchBranch({ userId: app.userId, chatId, branchId: await branchIdOf(app, chatId, 1) });
    },
  };
  for (const [where, switchBranch] of Object.entries(ways)) {
    test(`${where} ends it if its question leaves, and the page shows what is stored`, async ({ open }) => {
      const app = await open({ settings }, versions);
      const { chatId, tab, firstId, voice } = await openEdited(app);
      await switchBranch(app, chatId, tab, firstId);
      await eventually("the server stops the answer", () => voice.signal?.aborted);
      await tab.until("it is over", ({ status }) => status === "ready" || status === "error");
      await app.expectShown(chatId, tab);
      expect((await tab.read()).pickers).toEqual(["1/2", "1/1"]);
      expect(await app.stored(chatId)).toHaveLength(2);
      expect(app.faults).toEqual([]);
    });
  }

  test("lets it replace the other answer if its question stays", async ({ open }) => {
    const app = await open({ settings }, versions);
    const chatId = await app.addChat();
    const tab = await app.openTab({ chat: { id: chatId } });
    await tab.ready();
    await answer(app, () => tab.begin("regenerate"), "Hello again.");
    await tab.until("there are two", ({ pickers, status }) => pickers[1] === "2/2" && status === "ready");
    await tab.begin("regenerate");
    const voice = await app.voice(2);
    voice.say("Hey");
    await tab.shows("Hey");
    await tab.pick("previous", (await tab.read()).ids[1] as string);
    expect((await app.stored(chatId)).map(({ parts }) => parts.at(-1))).toMatchObject([{}, { text: "Hello." }]);
    voice.say("!");
    voice.finish();
    await app.expectShown(chatId, tab);
    await tab.until("there are three", ({ pickers }) => pickers[1] === "3/3");
    expect((await tab.read()).texts).toEqual(["Hi", "Hey!"]);
  });
});

describe.concurrent("A switch", () => {
  /** A page with three alternatives of an answer, of which the last one is current. */
  async function openThree(app: App) {
    const chatId = await app.addChat();
    const tab = await app.openTab({ chat: { id: chatId } });
    await tab.ready();
    for (const text of ["two", "three"]) {
      await answer(app, () => tab.begin("regenerate"), text);
      await tab.until("it is answered", ({ texts, status }) => texts[1] === text && status === "ready");
    }
    await tab.until("there are three", ({ pickers }) => pickers[1] === "3/3");
    return { chatId, tab, answerId: (await tab.read()).ids[1] as string };
  }

  test("that is asked for twice at once goes one step", async ({ open }) => {
    const app = await open({ settings });
    const { chatId, tab, answerId } = await openThree(app);
    await Promise.all([tab.pick("previous", answerId), tab.pick("previous", answerId)]);
    await app.expectShown(chatId, tab);
    expect(await tab.read()).toMatchObject({ texts: ["Hi", "two"], pickers: ["1/1", "2/3"], loadError: undefined });
  });

  test("whose response is lost shows an error, and then what is stored", async ({ open }) => {
    const app = await open({ settings });
    const { chatId, tab, answerId } = await openThree(app);
    app.intercept(async (request, next) => {
      if (request.url.includes("/branches/")) {
        await next(request);
        app.server.disconnect();
        return new Response("");
      }
      return next(request);
    });
    await tab.pick("previous", answerId);
    expect((await tab.read()).loadError).toMatchObject({ code: "network" });
    await tab.comeBack();
    await app.expectShown(chatId, tab);
    expect(await tab.read()).toMatchObject({ texts: ["Hi", "two"], pickers: ["1/1", "2/3"], loadError: undefined });
  });

  test("whose messages cannot be loaded shows an error, and then what is stored", async ({ open }) => {
    const app = await open({ settings });
    const { chatId, tab, answerId } = await openThree(app);
    const refused = app.refuse(/^GET \/[^/]+$/, 500, "failed");
    await tab.pick("previous", answerId);
    expect(await tab.read()).toMatchObject({ texts: ["Hi", "three"], loadError: { code: "failed" } });
    refused.accept();
    await tab.call("reload");
    expect(await tab.read()).toMatchObject({ texts: ["Hi", "two"], pickers: ["1/1", "2/3"], loadError: undefined });
    await app.expectShown(chatId, tab);
  });

  test("is followed by a question that stands behind the shown messages", async ({ open }) => {
    const app = await open({ settings });
    const { chatId, tab, answerId } = await openThree(app);
    await tab.pick("previous", answerId);
    await answer(app, () => tab.ask("And?"), "So.");
    await app.expectShown(chatId, tab);
    expect((await tab.read()).texts).toEqual(["Hi", "two", "And?", "So."]);
    await tab.pick("next", answerId);
    await tab.pick("next", (await tab.read()).ids[1] as string);
    expect((await tab.read()).texts).toEqual(["Hi", "three"]);
    await tab.pick("previous", answerId);
    expect((await tab.read()).texts).toEqual(["Hi", "two", "And?", "So."]);
    await app.expectShown(chatId, tab);
  });

  test("is offered for an edited question at once, and not between the answers to its old words", async ({ open }) => {
    const app = await open({ settings });
    const { chatId, tab } = await openThree(app);
    const [messageId] = (await tab.read()).ids;
    await tab.begin("sendMessage", [{ text: "Hey", messageId }]);
    const voice = await app.voice(3);
    voice.say("Hey!");
    await tab.shows("Hey!");
    await tab.until("the edit is known", ({ pickers }) => String(pickers) === "2/2,1/1");
    expect((await tab.read()).status).toBe("streaming");
    voice.finish();
    await app.expectShown(chatId, tab);
    expect((await tab.read()).pickers).toEqual(["2/2", "1/1"]);
    await tab.pick("previous", messageId as string);
    expect((await tab.read()).pickers).toEqual(["1/2", "3/3"]);
  });

  test("that comes back late does not undo what the page has shown since", async ({ open }) => {
    const app = await open({ settings });
    const { chatId, tab, answerId } = await openThree(app);
    const held = app.hold(/^GET \/[^/]+$/);
    const switched = tab.pick("previous", answerId);
    await eventually("the page loads the messages", () => held.held.length > 0);
    const first = await branchIdOf(app, chatId, 1);
    await app.store.switchBranch({ userId: app.userId, chatId, branchId: first });
    held.release();
    await switched;
    await tab.call("reload");
    await app.expectShown(chatId, tab);
    expect((await tab.read()).texts).toEqual(["Hi", "Hello."]);
  });
});
