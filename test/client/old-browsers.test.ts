// Isolated: it removes members of global classes.
import { afterEach, expect, test, vi } from "vitest";
import { createChatClient } from "../../src/client.ts";

const members = [
  { prototype: String.prototype, name: "isWellFormed" },
  { prototype: URLSearchParams.prototype, name: "size" },
].map((member) => ({ ...member, descriptor: Object.getOwnPropertyDescriptor(member.prototype, member.name) }));

afterEach(() => {
  for (const { prototype, name, descriptor } of members) Object.defineProperty(prototype, name, descriptor ?? {});
});

test("requests are complete in browsers without the newest members, such as Safari 16", async () => {
  for (const { prototype, name } of members) Reflect.deleteProperty(prototype, name);
  const fetch = vi.fn(async (_url: unknown) => Response.json({ chats: [], cursor: null, stopped: false }));
  const client = createChatClient({ fetch });
  await client.list({ cursor: "c", limit: 2 });
  await client.stop("a b");
  await client.list();
  expect(fetch.mock.calls.map(([url]) => url)).toEqual([
    "/api/chat?cursor=c&limit=2",
    "/api/chat/a%20b/stream",
    "/api/chat",
  ]);
  await expect(client.get("\ud800")).rejects.toMatchObject({ code: "bad_request", status: 0 });
});
