// Projects: main, thorough, tables, citus. Long: postgres.
import { randomUUID } from "node:crypto";
import type { UIMessage } from "ai";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { databases, inModes, type TestDatabase } from "../support/databases.ts";
import { seeded } from "../support/seed.ts";

/** Ids are few, so that messages return, move and change, and bodies fewer, so that saves often change nothing. */
const message = fc.record({
  id: fc.integer({ min: 0, max: 11 }).map((number) => `m${number}`),
  role: fc.constantFrom("user", "assistant", "system"),
  metadata: fc.constantFrom(undefined, null, { seen: 1 }, "a \\ backslash"),
  parts: fc.constantFrom<UIMessage["parts"]>(
    [],
    [{ type: "text", text: "short" }],
    [{ type: "text", text: 'a "quote", a \\ backslash, a \u0000 NUL and half a pair \ud83d' }],
    // Too large to be carried along by the one-statement save.
    [{ type: "text", text: "long ".repeat(200) }],
  ),
});
const fewMessages = fc.uniqueArray(message, { selector: ({ id }) => id, maxLength: 6 });
const withNewIds = (messages: UIMessage[], present: UIMessage[]) =>
  messages.filter(({ id }) => present.every((other) => other.id !== id));

/** What a save makes of the conversation that is there. */
type Change = (present: UIMessage[]) => UIMessage[];
const change = fc.oneof(
  {
    weight: 4,
    arbitrary: fewMessages.map(
      (some): Change =>
        (present) => [...present, ...withNewIds(some, present)],
    ),
  },
  fewMessages.map(
    (some): Change =>
      () =>
        some,
  ),
  fewMessages.map(
    (some): Change =>
      (present) => [...withNewIds(some, present), ...present],
  ),
  fc.tuple(message, fc.nat()).map(
    ([other, at]): Change =>
      (present) =>
        present.map((old, index) => (index === at % present.length ? { ...other, id: old.id } : old)),
  ),
  fc.nat().map(
    (at): Change =>
      (present) =>
        present.slice(0, at % (present.length + 1)),
  ),
  fc.nat().map(
    (at): Change =>
      (present) =>
        present.toSpliced(at % (present.length + 1), 1),
  ),
  fc.constant<Change>((present) => present.toReversed()),
  fc.constant<Change>((present) => present.toSorted((a, b) => a.id.localeCompare(b.id))),
  fc.constant<Change>((present) => present),
);

const sequence = fc.array(
  fc.record({
    change,
    title: fc.option(fc.constantFrom("", "Tides", "Moon"), { nil: undefined, freq: 2 }),
    expected: fc.constantFrom("any version", "the current version", "another version"),
  }),
  { minLength: 1, maxLength: 8 },
);

seeded();

describe.each(inModes(databases))("Sequences of saves on $name, $mode", ({ open, storeOn }) => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await open();
  });
  afterAll(() => database.close());

  test("any sequence of saves leaves the same rows as deleting and inserting everything", async () => {
    const store = storeOn(database.db);
    const compare = fc.asyncProperty(sequence, async (saves) => {
      const ids = { userId: "u", chatId: randomUUID() };
      // Version 0 stands for a chat that does not exist.
      let model: { title: string; version: number; messages: UIMessage[] } = { title: "", version: 0, messages: [] };

      for (const { change, title, expected } of saves) {
        const { version } = model;
        const next = { title: title ?? model.title, version, messages: change(model.messages) };
        const isSame = version > 0 && JSON.stringify(next) === JSON.stringify(model);
        const expectedVersion =
          expected === "any version"
            ? undefined
            : expected === "the current version" && version > 0
              ? version
              : version + 1;
        const saved = store.upsertChat({ ...ids, title, messages: next.messages, expectedVersion });

        if (expectedVersion !== undefined && expectedVersion !== version && !isSame) {
          await expect(saved).rejects.toMatchObject({ code: "CHAT_CONFLICT", actualVersion: version || null });
        } else {
          model = { ...next, version: isSame ? version : version + 1 };
          expect(await saved).toMatchObject({ title: model.title, version: model.version });
        }

        // The chat as the store reads it, and the messages as anybody would.
        expect(await store.getChat(ids)).toEqual(model.version === 0 ? null : expect.objectContaining(model));
        const raw = await database.query(
          `select id, "order", role, parts::text, metadata::text from chat_store.messages where chat_id = $1 order by "order"`,
          [ids.chatId],
        );
        expect(raw).toEqual(
          model.messages.map(({ id, role, parts, metadata }, order) => ({
            id,
            order,
            role,
            parts: JSON.stringify(parts),
            metadata: metadata === undefined ? null : JSON.stringify(metadata),
          })),
        );
      }
    });
    await fc.assert(compare, { numRuns: Number(process.env.MODEL_RUNS ?? 10) });
  }, 900_000);
});
