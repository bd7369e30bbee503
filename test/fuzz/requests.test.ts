// Projects: main. Long: fuzz.
import fc from "fast-check";
import { expect, test } from "vitest";
import { statusOf } from "../../src/protocol.ts";
import { createHandler, openTestStore, question, textChunks } from "../support/chat-handler.ts";
import { say } from "../support/conversations.ts";
import { type FuzzedRequest, fuzzedRequest } from "../support/fuzz/requests.ts";
import { seeded } from "../support/seed.ts";
import { snapshot } from "../support/snapshot.ts";

const cases = Number(process.env.FUZZ_CASES ?? 300);
const used = openTestStore();
const secret = "the stranger's secret";

seeded();

/** The rows of all users but "u". */
async function rowsOfOthers() {
  const { chats, messages, turns } = await snapshot(used.database);
  const foreign = chats.filter((row) => row.user_id !== "u");
  const isForeign = (row: Record<string, unknown>) => foreign.some(({ id }) => id === row.chat_id);
  return { foreign, messages: messages.filter(isForeign), turns: turns.filter(isForeign) };
}

async function reset() {
  await used.database.query("delete from chat_store.chats");
  const call = { type: "tool-read", toolCallId: "t", state: "input-available", input: {} };
  const answer = { id: "a", role: "assistant" as const, parts: [...say("user", "Because.").parts, call as never] };
  await used.store.upsertChat({
    userId: "u",
    chatId: "own",
    title: "Why",
    messages: [question("Why?") as never, answer],
  });
  await used.store.upsertChat({ userId: "s", chatId: "foreign", title: secret, messages: [say("user", secret, "q")] });
}

const bodyOf = ({ body }: FuzzedRequest) => (body === undefined ? {} : { body });

test("every request has a proper response, reads and changes nothing of others, and stores nothing if it is refused", async () => {
  await reset();
  const seen = new Map<number, number>();
  const oneCase = async (fuzzed: FuzzedRequest) => {
    const { chat, errors } = createHandler(used.store, {
      userId: () => "u",
      tools: { read: {} },
      answer: () => ReadableStream.from(textChunks("Hello.")),
    });
    const before = await snapshot(used.database);
    const othersBefore = await rowsOfOthers();
    const { method, path, headers } = fuzzed;
    const request = new Request(`http://localhost/api/chat${path}`, { method, headers, ...bodyOf(fuzzed) });
    const response = await chat(request);
    const { status } = response;
    seen.set(status, (seen.get(status) ?? 0) + 1);
    const text = await response.text();

    expect(errors).toEqual([]);
    expect(text).not.toContain(secret);
    expect(text).not.toContain("userId");
    expect(await rowsOfOthers()).toEqual(othersBefore);
    if (status >= 400) {
      expect(await snapshot(used.database)).toEqual(before);
      expect(Object.values(statusOf)).toContain(status);
      expect(status).toBeLessThan(500);
      if (method !== "HEAD") {
        const { error } = JSON.parse(text);
        expect(JSON.parse(text)).toEqual({ error: { code: expect.any(String), message: expect.any(String) } });
        expect(statusOf[error.code as keyof typeof statusOf]).toBe(status);
      }
    } else if (response.headers.get("content-type") === "text/event-stream") {
      expect(text).toMatch(/^(data: .*\n\n|: ?.*\n\n)+$/);
    } else {
      expect([200, 201, 204]).toContain(status);
      if (status === 204 || method === "HEAD") expect(text).toBe("");
      else expect(JSON.parse(text)).toBeTypeOf("object");
      expect(response.headers.get("cache-control")).toBe("no-store");
    }
    if (["GET", "HEAD", "OPTIONS"].includes(method)) expect(await snapshot(used.database)).toEqual(before);
    else if (status < 300) await reset();
  };
  await fc.assert(fc.asyncProperty(fuzzedRequest, oneCase), { numRuns: cases });
  // The requests reach what they are meant to.
  for (const status of [200, 204, 400, 404, 405]) expect(seen.get(status), `status ${status}`).toBeGreaterThan(0);
});
