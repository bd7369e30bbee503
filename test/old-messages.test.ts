import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as ai from "ai";
import * as ai5 from "ai5";
import * as ai6 from "ai6";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { createChatStore, migrate } from "../src/index.ts";
import { say, textOf } from "./conversations.ts";
import { databases, type TestDatabase } from "./databases.ts";
import { oldMessages } from "./old-messages.ts";
import { blocksOf } from "./pages.ts";

const folder = fileURLToPath(new URL("../.data/old-messages", import.meta.url));

/** As far as they are called here, they are alike. */
type Sdk = Pick<typeof ai, "convertToModelMessages" | "safeValidateUIMessages">;
const sdks = [
  { name: "ai5", sdk: ai5 as unknown as Sdk },
  { name: "ai6", sdk: ai6 as unknown as Sdk },
  { name: "ai", sdk: ai as Sdk },
];

/** What today's application has. */
const tools = `import { tool } from "ai";
import { z } from "zod";
export const tools = {
  weather: tool({ inputSchema: z.object({ city: z.string() }), outputSchema: z.object({ celsius: z.number() }) }),
};
`;

describe.each(sdks)("what docs/turns.md does with old messages, on $name", ({ name, sdk }) => {
  let readable: (messages: ai.UIMessage[]) => Promise<ai.UIMessage[]>;
  let application: { tools: ai.ToolSet };
  let database: TestDatabase;
  const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
  beforeAll(async () => {
    const [block] = blocksOf("docs/turns.md").filter(({ note }) => note === "old messages");
    const own = join(folder, name);
    await mkdir(own, { recursive: true });
    await writeFile(join(own, "chat.ts"), tools.replace('"ai"', `"${name}"`));
    await writeFile(join(own, "readable.ts"), (block?.text ?? "").replace('"ai"', `"${name}"`));
    application = await import(/* @vite-ignore */ join(own, "chat.ts"));
    ({ readable } = await import(/* @vite-ignore */ join(own, "readable.ts")));
    database = await (databases[0] ?? expect.fail()).open();
    await migrate(database.db);
  });
  afterEach(() => warn.mockClear());
  afterAll(async () => {
    await rm(join(folder, name), { recursive: true });
    await database.close();
  });

  const converted = async (messages: ai.UIMessage[]) =>
    sdk.convertToModelMessages(messages, { tools: application.tools, ignoreIncompleteToolCalls: true });
  const fits = async (message: ai.UIMessage) => {
    const { tools } = application;
    return (await sdk.safeValidateUIMessages({ messages: [message], tools: tools as never })).success;
  };

  test("keeps what fits, puts words in place of what does not, says so once, and the model can be asked", async () => {
    const shown = await readable(oldMessages);
    const unfit: string[] = [];
    for (const [index, message] of oldMessages.entries()) {
      if (await fits(message)) expect(shown[index]).toBe(message);
      else {
        unfit.push(message.id);
        expect(shown[index]).toMatchObject({ id: message.id, parts: [{ type: "text" }] });
        expect(["user", "assistant"]).toContain(shown[index]?.role);
      }
    }
    expect(unfit.length).toBeGreaterThan(10);
    expect(unfit.length).toBeLessThan(20);
    expect(
      warn.mock.calls
        .flat()
        .map((line) => /Message (.*) no longer/.exec(line)?.[1])
        .sort(),
    ).toEqual(unfit.sort());

    const wordsOf = (id: string) => textOf(shown.find((message) => message.id === id));
    const note = "[The rest of this message can no longer be read.]";
    expect(wordsOf("ai 4, a tool")).toBe(`Let me see.\n\n${note}`);
    expect(wordsOf("no part at all")).toBe(`But words.\n\n${note}`);
    expect(wordsOf("a text that is none")).toBe(note);

    const question = say("user", "And today?");
    const forModel = await converted([...shown, question]);
    expect(forModel.at(-1)).toMatchObject({ role: "user" });
    // Written by a later SDK than ai 5, which takes a call that waits for an approval for one without a result.
    const late = /ai 6, an approval that was (asked for|denied)/;
    const counted = JSON.stringify(await converted(shown.filter(({ id }) => name !== "ai5" || !late.test(id))));
    const calls = counted.match(/"type":"tool-call"/g)?.length;
    expect(counted.match(/"type":"tool-result"/g)?.length).toBe(calls);
    // Each alone, too, as the last before the question.
    for (const message of shown) await converted([message, question]);
  });

  test("without it, one such message stands in the way of all", async () => {
    const messages = [say("user", "Hi"), ...oldMessages.slice(1, 2)];
    expect(await Promise.all(messages.map(fits))).toEqual([true, false]);
    expect((await sdk.safeValidateUIMessages({ messages })).success).toBe(false);
  });

  test("leaves what is stored as it is", async () => {
    const store = createChatStore(database.db);
    const ids = { userId: "u", chatId: "c" };
    await store.upsertChat({ ...ids, messages: oldMessages });
    const before = await store.getChat(ids);
    const question = say("user", "And today?");
    const turn = await store.startTurn({ ...ids, message: question });
    expect(await converted(await readable(turn.messages))).not.toEqual([]);
    const answer = say("assistant", "It does not.", turn.persist.generateMessageId());
    await turn.persist.onEnd({ responseMessage: answer });
    expect((await store.getChat(ids))?.messages).toEqual([...(before?.messages ?? []), question, answer]);
  });
});
