import { deepStrictEqual } from "node:assert/strict";
import * as ai from "ai";
import * as ai5 from "ai5";
import * as ai6 from "ai6";
import { describe, expect, test } from "vitest";
import { eventOf } from "../../src/turns/events.ts";
import { chunksOf } from "../../src/turns/message-chunks.ts";
import { conversations } from "../support/sdk-messages.ts";

/** What a client of this version makes of a response's body, which it checks event by event. */
async function read(sdk: typeof ai, body: string): Promise<unknown> {
  class Transport extends sdk.DefaultChatTransport<ai.UIMessage> {
    chunksOf = (body: string) => this.processResponseStream(new Response(body).body ?? expect.fail());
  }
  let message: unknown;
  const stream = new Transport().chunksOf(body);
  for await (const next of sdk.readUIMessageStream({ stream, terminateOnError: true })) message = next;
  return JSON.parse(JSON.stringify(message));
}

/** What no chunk says that all three versions know. What is shown does not need it. */
const unsaid = ["approval", "resultProviderMetadata", "preliminary"];
/** A key that the SDK's clients take from no stream. */
const forbidden = /odd keys|does not exist yet/;

const sdks = [
  { name: "ai 7", sdk: ai, unknownKeys: [], unknownParts: forbidden },
  { name: "ai 6", sdk: ai6, unknownKeys: [], unknownParts: /provider metadata|custom|steers|citations/ },
  {
    name: "ai 5",
    sdk: ai5,
    unknownKeys: ["title", "toolMetadata"],
    unknownParts: /provider metadata|custom|steers|citations|approval|denies|refused/,
  },
];

describe.each(sdks)("A stored answer as a stream, with $name", ({ sdk, unknownKeys, unknownParts }) => {
  const known = conversations.filter(({ name }) => !unknownParts.test(name) && !forbidden.test(name));
  const isUnsaid = (key: string) => unsaid.concat(unknownKeys).includes(key);
  const said = (message: unknown) =>
    JSON.parse(JSON.stringify(message, (key, value) => (isUnsaid(key) ? undefined : value)));

  test.each(known)("the client rebuilds the stored answers ($name)", async ({ messages }) => {
    for (const message of JSON.parse(JSON.stringify(await messages())) as ai.UIMessage[]) {
      if (message.role !== "assistant" || message.parts.length === 0) continue;
      const body = [...chunksOf(message), { type: "finish" }].map(eventOf).join("");
      // An approval that was given shows as a call that is running.
      const expected = JSON.parse(JSON.stringify(message).replaceAll("approval-responded", "input-available"));
      deepStrictEqual(said(await read(sdk as unknown as typeof ai, body)), said(expected));
    }
  });
});
