import { describe, expect } from "vitest";
import { z } from "zod";
import { eventually } from "../support/eventually.ts";
import { type App, say, test } from "../support/react-page.ts";

const postsOf = ({ requests }: App) => requests.filter((request) => request.startsWith("POST"));

describe.concurrent("A question that fails", () => {
  async function openChat(open: (options?: object) => Promise<App>, options?: object) {
    const app = await open(options);
    const chatId = await app.addChat([
      say("user", "One?", "q1"),
      say("assistant", "One.", "a1"),
      say("user", "Two?", "q2"),
      say("assistant", "Two.", "a2"),
    ]);
    const tab = await app.openTab({ chat: { id: chatId } });
    await app.expectShown(chatId, tab);
    return { app, chatId, tab };
  }

  test("because it never reached the server stays, and regenerate sends it", async ({ open }) => {
    const { app, chatId, tab } = await openChat(open);
    await app.server.close();
    await tab.ask("Three?");
    await tab.until("it has failed", ({ error }) => error?.code === "network");
    const shown = ["One?", "One.", "Two?", "Two.", "Three?"];
    expect(await tab.read()).toMatchObject({ texts: shown, status: "error", error: { isRetryable: true } });
    await app.server.comeBack();
    await tab.comeBack();
    await app.expectShownUnsent(tab, shown);
    await tab.until("there is nothing to join", ({ isReconnecting }) => !isReconnecting);
    expect(await app.stored(chatId)).toHaveLength(4);
    await tab.begin("regenerate");
    const voice = await app.voice();
    voice.say("Three.");
    voice.finish();
    await app.expectShown(chatId, tab);
    expect((await tab.read()).texts).toEqual([...shown, "Three."]);
  });

  test.for([
    [400, "bad_request", false],
    [401, "unauthorized", false],
    [413, "too_large", false],
    [429, undefined, true],
    [500, "failed", true],
  ] as const)(
    "with status %s is an error, and is not sent again by itself",
    async ([status, code, isRetryable], { open }) => {
      const { app, chatId, tab } = await openChat(open);
      const server = app.refuse(/^POST/, status, code);
      await tab.ask("Three?");
      await tab.until("it has failed", ({ status }) => status === "error");
      const before = app.requests.length;
      expect((await tab.read()).error).toMatchObject({ code: code ?? "too_many_requests", isRetryable });
      for (let times = 0; times < 3; times++) {
        await tab.comeBack();
        await tab.call("reload");
      }
      expect(await tab.read()).toMatchObject({ status: "error", texts: ["One?", "One.", "Two?", "Two.", "Three?"] });
      expect(postsOf(app)).toHaveLength(1);
      expect(app.requests.length - before).toBeLessThanOrEqual(6);
      server.accept();
      await tab.begin("regenerate");
      const voice = await app.voice();
      voice.say("Three.");
      voice.finish();
      await app.expectShown(chatId, tab);
    },
  );

  test("with a conflict loads the chat again, and keeps the question", async ({ open }) => {
    const { app, chatId, tab } = await openChat(open);
    const messages = await app.stored(chatId);
    await app.store.upsertChat({
      userId: app.userId,
      chatId,
      messages: [...messages, say("user", "Elsewhere?"), say("assistant", "Elsewhere.")],
    });
    const server = app.refuse(/^POST/, 409, "conflict");
    await tab.ask("Three?");
    const shown = ["One?", "One.", "Two?", "Two.", "Elsewhere?", "Elsewhere.", "Three?"];
    await tab.until("both are shown", ({ texts }) => texts.length === 7);
    expect(await tab.read()).toMatchObject({ texts: shown, status: "error", error: { code: "conflict" } });
    expect(postsOf(app)).toHaveLength(1);
    server.accept();
    await tab.begin("regenerate");
    const voice = await app.voice();
    voice.say("Three.");
    voice.finish();
    await app.expectShown(chatId, tab);
    expect((await tab.read()).texts).toEqual([...shown, "Three."]);
  });

  test("is kept when its edit fails, and can be sent again", async ({ open }) => {
    const { app, chatId, tab } = await openChat(open);
    await app.server.close();
    await tab.begin("sendMessage", [{ text: "Two, really?", messageId: "q2" }]);
    await tab.until("it has failed", ({ error }) => error?.code === "network");
    await app.server.comeBack();
    await tab.comeBack();
    await app.expectShownUnsent(tab, ["One?", "One.", "Two, really?"]);
    expect(await app.stored(chatId)).toHaveLength(4);
    await tab.begin("sendMessage", [{ text: "Two, really?", messageId: "q2" }]);
    const voice = await app.voice();
    voice.say("Really.");
    voice.finish();
    await app.expectShown(chatId, tab);
    expect((await tab.read()).texts).toEqual(["One?", "One.", "Two, really?", "Really."]);
  });

  test("to be answered again shows its answer again when the chat is loaded", async ({ open }) => {
    const { app, chatId, tab } = await openChat(open);
    await app.server.close();
    await tab.begin("regenerate", [{ messageId: "a2" }]);
    await tab.until("it has failed", ({ error }) => error?.code === "network");
    await app.server.comeBack();
    await tab.comeBack();
    await app.expectShown(chatId, tab);
    expect((await tab.read()).texts).toEqual(["One?", "One.", "Two?", "Two."]);
    expect(postsOf(app)).toEqual([]);
  });

  test("while it is generated shows the error, and joins no answer", async ({ open }) => {
    const { app, chatId, tab } = await openChat(open);
    await tab.ask("Three?");
    const voice = await app.voice();
    voice.say("Thr");
    await tab.shows("Thr");
    voice.fail();
    await tab.until("it has failed", ({ status }) => status === "error");
    expect((await tab.read()).error).toMatchObject({ message: "An error occurred." });
    await eventually("no turn is running", app.isIdle);
    await tab.call("reload");
    expect((await tab.read()).messages).toEqual(await app.stored(chatId));
    expect(postsOf(app)).toHaveLength(1);
  });

  test("with the outputs of tools, because another tab was first, shows the other's answer", async ({ open }) => {
    const tools = { whereAmI: { inputSchema: z.object({}) } };
    const { app, chatId, tab } = await openChat(open, { tools });
    await tab.show({ chat: { id: chatId, sendAutomatically: "calls" } });
    await tab.ask("Where am I?");
    const voice = await app.voice();
    voice.call("whereAmI", "t1");
    voice.finish("tool-calls");
    await app.expectShown(chatId, tab);
    const other = await app.openDevice({ chat: { id: chatId, sendAutomatically: "calls" } });
    await app.expectShown(chatId, other);
    await other.call("addToolOutput", [{ tool: "whereAmI", toolCallId: "t1", output: "Hamburg" }]);
    const next = await app.voice(2);
    next.say("In Hamburg.");
    await other.shows("In Hamburg.");
    await tab.call("addToolOutput", [{ tool: "whereAmI", toolCallId: "t1", output: "Altona" }]);
    await tab.shows("In Hamburg.");
    expect(await tab.heard()).toContain("error conflict");
    next.finish();
    await app.expectShown(chatId, other);
    await app.expectShown(chatId, tab);
    expect(postsOf(app)).toHaveLength(3);
  });
});
