import { describe, expect, test } from "vitest";
import { ChatRequestError } from "../../src/client.ts";
import { say } from "../support/conversations.ts";
import { liveChats } from "../support/live-chat.ts";
import { sdks } from "../support/sdks.ts";

describe.concurrent.each(sdks)("A version that the page owns with $name", (sdk) => {
  const open = liveChats(sdk);

  test("is the stored one after each answer, of its own and joined ones", async () => {
    const chat = await open();
    const version: { current: number | undefined } = { current: undefined };
    const page = await chat.openTab({ isNew: true, version });
    const stored = async () => (await chat.store.getChat(chat))?.version;
    for (const count of [1, 2]) {
      const asked = page.sendMessage({ text: "Why?" });
      const voice = await chat.voice(count);
      voice.say("Because.");
      await page.shows("Because.");
      expect(version.current).toBe(2 * count - 1);
      voice.finish();
      await asked;
      expect(version.current).toBe(2 * count);
      expect(await stored()).toBe(2 * count);
    }
    const joined = { current: 2 };
    const other = await chat.openTab({ version: joined });
    const asked = page.sendMessage({ text: "And?" });
    const voice = await chat.voice(3);
    voice.say("So.");
    await page.shows("So.");
    // Another page loads the question, and joins its answer.
    joined.current = 5;
    const resumed = other.resumeStream();
    await other.shows("So.");
    voice.finish();
    await Promise.all([asked, resumed]);
    expect({ own: version.current, joined: joined.current, stored: await stored() }).toEqual({
      own: 6,
      joined: 6,
      stored: 6,
    });
  });

  test("names what the page shows when it resumes, also after the page has set it", async () => {
    const requests: string[] = [];
    const chat = await open({
      messages: [say("user", "Hi"), say("assistant", "Hello.")],
      client: {
        fetch: (url, init) => {
          requests.push(String(url).replace(/.*\/stream/, "stream"));
          return fetch(url, init);
        },
      },
    });
    const version = { current: 1 };
    const page = await chat.openTab({ version });
    await page.resumeStream();
    version.current = 7;
    await page.resumeStream();
    expect(requests.slice(1)).toEqual(["stream?version=1", "stream?version=7"]);
  });
});

test.each([
  ["network", 0, true],
  ["failed", 500, true],
  ["failed", 404, false],
  ["unavailable", 503, true],
  ["conflict", 409, true],
  ["too_many_requests", 429, true],
  ["bad_request", 0, false],
  ["bad_request", 400, false],
  ["unauthorized", 401, false],
  ["forbidden", 403, false],
  ["not_found", 404, false],
  ["too_large", 413, false],
  ["unsupported_media_type", 415, false],
] as const)("an error %s with status %s is retryable: %s", (code, status, isRetryable) => {
  expect(new ChatRequestError({ code, status }, "x").isRetryable).toBe(isRetryable);
});
