import { randomUUID } from "node:crypto";
import { AbstractChat, type UIMessage } from "ai";
import { expect } from "vitest";
import { createChatClient } from "../../src/client.ts";
import { PlainState } from "./chat-server.ts";
import { textOf } from "./conversations.ts";
import { blocksOf, pages } from "./pages.ts";

/** The servers that the docs print, by the name in the comment above each. */
export const mounts = pages
  .flatMap(blocksOf)
  .flatMap((block) => (block.note.startsWith("mount: ") ? [{ name: block.note.slice("mount: ".length), block }] : []));

const answer = "The moon pulls at the sea, and the sea follows it around the world, twice a day.";

class Tab extends AbstractChat<UIMessage> {}

/** Goes through a chat as a page would, at a server whose application is `mounted-chat.ts`. */
export async function useMountedChat(url: string): Promise<void> {
  const client = createChatClient({ basePath: `${url}/api/chat`, headers: { "x-user-id": "u" } });
  const openTab = (id: string, messages: UIMessage[] = []) =>
    new Tab({ id, transport: client.transport(), state: new PlainState(messages), onError: () => {} });
  const load = async (id: string) => (await client.get(id))?.messages ?? expect.fail("no such chat");

  // A slash and a percent sign in an id, which a server may take for its own.
  const id = `a/b%20c ${randomUUID()}`;
  const tab = openTab(id);
  await tab.sendMessage({ text: "Why do tides turn?" });
  expect(tab.error).toBeUndefined();
  expect(textOf(tab.messages.at(-1))).toBe(answer);
  expect(await load(id)).toEqual(JSON.parse(JSON.stringify(tab.messages)));

  const asked = tab.sendMessage({ text: "Again?" });
  await expect.poll(() => textOf(tab.messages[3])).toMatch(/^The moon/);
  expect(await client.stop(id)).toBe(true);
  await asked;
  const messages = await load(id);
  expect(messages).toEqual(JSON.parse(JSON.stringify(tab.messages)));
  expect(textOf(messages[3])).not.toBe(answer);

  // The page is left in mid-answer, and another one shows it to the end.
  const leaving = tab.sendMessage({ text: "And again?" });
  await expect.poll(() => textOf(tab.messages[5])).toMatch(/^The moon/);
  await tab.stop();
  await leaving;
  const second = openTab(id, await load(id));
  await second.resumeStream();
  expect(second.error).toBeUndefined();
  await expect.poll(async () => textOf((await load(id))[5])).toBe(answer);

  expect(await client.update(id, { title: "Tides" })).toMatchObject({ id, title: "Tides" });
  const fork = (await client.fork(id)) ?? expect.fail("no fork");
  // Both chats may be of the same millisecond: then their ids decide which is the first.
  const { chats } = await client.list({ limit: 2 });
  expect(chats.map((chat) => chat.id).sort()).toEqual([id, fork.id].sort());
  expect(chats).toContainEqual(fork);
  expect((await client.search("tides turn")).matches).toHaveLength(2);
  expect(await client.deleteMessage(id, messages[2]?.id ?? "", { following: true })).toMatchObject({ id });
  expect(await load(id)).toHaveLength(2);
  expect(await client.delete(id)).toBe(true);
  expect(await client.get(id)).toBeNull();

  const headers = { "x-user-id": "u", "content-type": "application/json" };
  const post = (init: RequestInit) =>
    fetch(`${url}/api/chat`, { method: "POST", ...init }).then(({ status }) => status);
  const forged = { ...headers, origin: "https://evil.example", "sec-fetch-site": "cross-site" };
  expect(await post({ headers: forged, body: "{}" })).toBe(403);
  expect(await post({ headers: { ...headers, "content-type": "text/plain" }, body: "{}" })).toBe(415);
  expect(await post({ headers: { "content-type": "application/json" }, body: "{}" })).toBe(401);
  // The last one: the server closes the connection whose body it has not read.
  expect(await post({ headers, body: " ".repeat(1_100_000) })).toBe(413);
}
