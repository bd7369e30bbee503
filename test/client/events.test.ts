import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, describe, expect, test, vi } from "vitest";
import type { ChatClient, ChatEvent } from "../../src/client.ts";
import { say } from "../support/conversations.ts";
import { eventually } from "../support/eventually.ts";
import { temporaryFolder } from "../support/folder.ts";
import { liveChats } from "../support/live-chat.ts";
import { loadWith, type Sdk, sdks } from "../support/sdks.ts";

describe.each(sdks)("The client's subscribe with $name", (sdk) => {
  const open = liveChats(sdk);
  const subscriptions: (() => void)[] = [];
  afterEach(() => {
    for (const unsubscribe of subscriptions.splice(0)) unsubscribe();
    vi.unstubAllGlobals();
    vi.restoreAllMocks();
  });

  function listen(client: ChatClient): ChatEvent[] {
    const events: ChatEvent[] = [];
    subscriptions.push(client.subscribe((event) => void events.push(event)));
    return events;
  }

  test("tells of own changes and of those of other tabs, and not of those of other handlers", async () => {
    const settings = { branches: true };
    const chat = await open({ messages: [say("user", "Hi", "m1"), say("assistant", "Hi!", "m2")], settings });
    const { client, chatId, store, userId } = chat;
    const again = { userId, chatId, message: say("user", "Hi", "m1"), trigger: "regenerate-message" } as const;
    const turn = await store.startTurn(again);
    await turn.persist.onEnd({ responseMessage: say("assistant", "Hello!", "m3") });
    const [own, other] = [listen(client), listen(chat.createClient())];
    const elsewhere = listen(chat.createClient({ basePath: "/elsewhere" }));
    await client.update(chatId, { title: "A" });
    await client.fork(chatId, { newId: `${chatId} 2` });
    const [point] = (await client.get(chatId))?.branches ?? [];
    await client.switchBranch(chatId, point?.branches[0]?.id as string);
    await client.deleteMessage(chatId, "m2");
    await client.delete(chatId);
    const changes = [
      { type: "updated", chatId },
      { type: "forked", chatId },
      { type: "branch-switched", chatId },
      { type: "message-deleted", chatId },
      { type: "deleted", chatId },
    ];
    expect(own).toEqual(changes.map((change) => ({ ...change, isOwn: true })));
    await eventually("the other tab has heard of all", () => other.length === changes.length);
    expect(other).toEqual(changes.map((change) => ({ ...change, isOwn: false })));
    expect(own).toHaveLength(changes.length);
    expect(elsewhere).toEqual([]);
  });

  test("tells other tabs also of the changes of a client without listeners", async () => {
    const chat = await open({ messages: [say("user", "Hi", "m1")] });
    const other = listen(chat.createClient());
    await chat.client.update(chat.chatId, { title: "A" });
    await eventually("the other tab has heard of it", () => other.length === 1);
    expect(other).toEqual([{ type: "updated", chatId: chat.chatId, isOwn: false }]);
  });

  test("tells of a turn as its question is stored, and as its answer has ended", async () => {
    const chat = await open();
    const [own, other] = [listen(chat.client), listen(chat.createClient())];
    const page = await chat.openTab({ isNew: true });
    const asked = page.sendMessage({ text: "Why?" });
    const voice = await chat.voice();
    await eventually("the question is known", () => own.length === 1);
    expect((await chat.client.list()).chats.some(({ id }) => id === chat.chatId)).toBe(true);
    voice.say("Because.");
    await page.shows("Because.");
    expect(own).toHaveLength(1);
    voice.finish();
    await asked;
    await eventually("both have heard of the end", () => own.length === 2 && other.length === 2);
    const turn = { type: "turn", chatId: chat.chatId };
    expect(own).toEqual([
      { ...turn, isOwn: true },
      { ...turn, isOwn: true, hasEnded: true },
    ]);
    expect(other).toEqual([
      { ...turn, isOwn: false },
      { ...turn, isOwn: false, hasEnded: true },
    ]);
    // At the second event, the answer is stored.
    expect(await chat.stored()).toHaveLength(2);
  });

  test("tells nothing of reads, of changes of nothing, of failures, and of a resume that finds nothing", async () => {
    const chat = await open({ messages: [say("user", "Hi", "m1"), say("assistant", "Hi!", "m2")] });
    const { client, chatId } = chat;
    const events = [listen(client), listen(chat.createClient())].map((heard) => () => heard);
    const page = await chat.openTab();
    await page.resumeStream();
    await Promise.all([client.list(), client.search("Hi"), client.get(chatId), client.stop(chatId)]);
    expect(await client.update("missing", { title: "A" })).toBe(null);
    expect(await client.delete("missing")).toBe(false);
    expect(await client.deleteMessage(chatId, "missing")).toBe(null);
    expect(await client.switchBranch(chatId, "missing")).toBe(null);
    expect(await client.fork("missing")).toBe(null);
    await expect(client.update(chatId, { title: "x".repeat(2_000) })).rejects.toMatchObject({ status: 400 });
    await expect(client.get(".")).rejects.toMatchObject({ status: 0 });
    // What is told in between would arrive before this.
    await client.update(chatId, { title: "Last" });
    for (const heard of events) {
      await eventually("the last change is known", () => heard().length > 0);
      expect(heard()).toEqual([expect.objectContaining({ type: "updated" })]);
    }
  });

  test("tells a listener nothing after it has unsubscribed, and others still", async () => {
    const chat = await open({ messages: [say("user", "Hi", "m1")] });
    const [first, second]: [ChatEvent[], ChatEvent[]] = [[], []];
    const listener = (event: ChatEvent) => void first.push(event);
    const unsubscribe = chat.client.subscribe(listener);
    const unsubscribeTwin = chat.client.subscribe(listener);
    subscriptions.push(chat.client.subscribe((event) => void second.push(event)));
    await chat.client.update(chat.chatId, { title: "A" });
    expect(first).toHaveLength(2);
    unsubscribe();
    unsubscribe();
    await chat.client.update(chat.chatId, { title: "B" });
    expect(first).toHaveLength(3);
    unsubscribeTwin();
    await chat.client.update(chat.chatId, { title: "C" });
    expect(first).toHaveLength(3);
    expect(second).toHaveLength(3);
  });

  test("a listener that throws harms neither the others nor the change", async () => {
    const chat = await open({ messages: [say("user", "Hi", "m1")] });
    const logged = vi.spyOn(console, "error").mockImplementation(() => {});
    const error = new Error("A listener's own");
    subscriptions.push(
      chat.client.subscribe(() => {
        throw error;
      }),
    );
    const heard = listen(chat.client);
    expect(await chat.client.update(chat.chatId, { title: "A" })).toMatchObject({ title: "A" });
    expect(heard).toHaveLength(1);
    expect(logged.mock.calls).toEqual([[error]]);
  });

  test("tells a listener once that subscribes again in reaction", async () => {
    const chat = await open({ messages: [say("user", "Hi", "m1")] });
    const heard: ChatEvent[] = [];
    const listener = (event: ChatEvent) => {
      // Otherwise the test would never end.
      if (heard.push(event) > 2) return;
      subscriptions.pop()?.();
      subscriptions.push(chat.client.subscribe(listener));
    };
    subscriptions.push(chat.client.subscribe(listener));
    await chat.client.update(chat.chatId, { title: "A" });
    expect(heard).toHaveLength(1);
    await chat.client.update(chat.chatId, { title: "B" });
    expect(heard).toHaveLength(2);
  });

  test("tells that the page is visible or online again, until the last listener has unsubscribed", async () => {
    const window = new EventTarget();
    const document = Object.assign(new EventTarget(), { visibilityState: "hidden" });
    vi.stubGlobal("document", document);
    vi.stubGlobal("addEventListener", window.addEventListener.bind(window));
    vi.stubGlobal("removeEventListener", window.removeEventListener.bind(window));
    const { client } = await open();
    const events = [listen(client), listen(client)];
    document.dispatchEvent(new Event("visibilitychange"));
    document.visibilityState = "visible";
    document.dispatchEvent(new Event("visibilitychange"));
    window.dispatchEvent(new Event("online"));
    for (const heard of events) expect(heard).toEqual([{ type: "visible" }, { type: "online" }]);
    for (const unsubscribe of subscriptions.splice(0)) unsubscribe();
    document.dispatchEvent(new Event("visibilitychange"));
    window.dispatchEvent(new Event("online"));
    for (const heard of events) expect(heard).toHaveLength(2);
    const again = listen(client);
    window.dispatchEvent(new Event("online"));
    expect(again).toEqual([{ type: "online" }]);
  });

  class Forbidden {
    constructor() {
      throw new DOMException("The operation is insecure.", "SecurityError");
    }
  }

  test.each([undefined, Forbidden])("works where there are no tabs, or none that may be told (%s)", async (tabs) => {
    vi.stubGlobal("BroadcastChannel", tabs);
    const chat = await open({ messages: [say("user", "Hi", "m1")] });
    const heard = listen(chat.client);
    await chat.client.update(chat.chatId, { title: "A" });
    expect(heard).toEqual([{ type: "updated", chatId: chat.chatId, isOwn: true }]);
  });
});

describe("In a process of its own", () => {
  const folder = temporaryFolder("client-process");

  test("a client without listeners does not keep Node running", async () => {
    await loadWith(sdks.at(-1) as Sdk, folder);
    const program = `
      import { createChatClient } from ${JSON.stringify(join(folder, "with-ai.mjs"))};
      const client = createChatClient({ fetch: async () => Response.json({ id: "a" }), basePath: "/process" });
      await client.update("a", { title: "A" });
      const unsubscribe = client.subscribe((event) => console.log(event.type));
      await client.update("a", { title: "B" });
      unsubscribe();
      await client.update("a", { title: "C" });
      console.log("end");`;
    const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", program]);
    expect(stdout).toBe("updated\nend\n");
  });
});
