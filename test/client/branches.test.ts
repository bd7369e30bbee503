import type { UIMessage } from "ai";
import { describe, expect, test, vi } from "vitest";
import type { ChatClient } from "../../src/client.ts";
import { say, textOf } from "../support/conversations.ts";
import { liveChats } from "../support/live-chat.ts";
import { sdks } from "../support/sdks.ts";

describe.each(sdks)("The client's switchBranch with $name", (sdk) => {
  const open = liveChats(sdk);
  const messages = [say("user", "Why?", "m1"), say("assistant", "a", "m2")];

  /** A chat that was answered "a" and then "b". */
  async function openAnswered() {
    const chat = await open({ messages, settings: { branches: true } });
    const { userId, chatId } = chat;
    const again = { userId, chatId, message: messages[0] as UIMessage, trigger: "regenerate-message" } as const;
    const turn = await chat.store.startTurn(again);
    await turn.persist.onEnd({ responseMessage: say("assistant", "b", turn.persist.generateMessageId()) });
    const branchesOf = async (client: ChatClient = chat.client) => (await client.get(chatId))?.branches ?? [];
    const branchId = async () => (await branchesOf())[0]?.branches[0]?.id as string;
    const texts = async () => ((await chat.client.get(chatId))?.messages ?? []).map(textOf);
    return { ...chat, branchesOf, branchId, texts };
  }

  test("makes an alternative of a page the current one, and back", async () => {
    const { client, chatId, branchesOf, branchId, texts, store, userId } = await openAnswered();
    const points = await branchesOf();
    expect(points).toEqual(await store.getBranches({ userId, chatId }));
    expect(points).toMatchObject([{ afterMessageId: "m1", position: 2, count: 2, branches: [{ position: 1 }] }]);
    expect(points[0]?.branches[0]?.createdAt).toBeInstanceOf(Date);
    const before = await client.get(chatId);
    const switched = await client.switchBranch(chatId, await branchId());
    expect(switched).toMatchObject({ id: chatId, version: Number(before?.chat.version) + 1 });
    expect(switched?.updatedAt).toBeInstanceOf(Date);
    expect(switched).not.toHaveProperty("userId");
    expect(await texts()).toEqual(["Why?", "a"]);
    await client.switchBranch(chatId, await branchId());
    expect((await client.get(chatId))?.messages).toEqual(before?.messages);
    expect(await branchesOf()).toMatchObject([{ position: 2, count: 2 }]);
  });

  test("gives null if the conversation does not have it, by now or for this user", async () => {
    const { client, createClient, chatId, branchId, texts } = await openAnswered();
    const id = await branchId();
    expect(await client.switchBranch("missing", id)).toBe(null);
    expect(await client.switchBranch(chatId, "missing")).toBe(null);
    expect(await createClient({ headers: { "x-user-id": "a stranger" } }).switchBranch(chatId, id)).toBe(null);
    expect(await texts()).toEqual(["Why?", "b"]);
    expect(await client.switchBranch(chatId, id)).toMatchObject({ id: chatId });
    expect(await client.switchBranch(chatId, id)).toBe(null);
  });

  test("sends no body, and the ids as parts of the path", async () => {
    const { createClient } = await openAnswered();
    const fetch = vi.fn(globalThis.fetch);
    expect(await createClient({ fetch }).switchBranch("a/b", "ü%?#")).toBe(null);
    const [[url, init] = []] = fetch.mock.calls;
    expect(String(url)).toMatch(/\/api\/chat\/a%2Fb\/branches\/%C3%BC%25%3F%23$/);
    expect(init).toMatchObject({ method: "POST" });
    expect(init?.body).toBeUndefined();
  });

  test("a page has no alternatives if the store keeps none", async () => {
    const chat = await open({ messages });
    expect(await chat.client.get(chat.chatId)).toMatchObject({ branches: [] });
  });

  test("a page that is loaded after it has nothing to resume", async () => {
    const { client, chatId, branchId, openTab } = await openAnswered();
    await client.switchBranch(chatId, await branchId());
    const page = await openTab();
    await page.resumeStream();
    expect(page.messages.map(textOf)).toEqual(["Why?", "a"]);
    expect(page.status).toBe("ready");
  });
});
