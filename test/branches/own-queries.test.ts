import { afterAll, beforeAll, expect, test } from "vitest";
import { createChatStore, type Turn } from "../../src/index.ts";
import { say } from "../support/conversations.ts";
import { nodePostgres, openWith, type TestDatabase } from "../support/databases.ts";
import { blocksOf } from "../support/pages.ts";

const ids = { userId: "u", chatId: "c" };
const [list, read, forget] = blocksOf("docs/storage.md")
  .map(({ text }) => text)
  .filter((text) => text.includes("chat_store.branches b")) as [string, string, string];

let database: TestDatabase;
beforeAll(async () => {
  database = await openWith(nodePostgres);
});
afterAll(() => database.close());

test("the SQL of docs/storage.md lists what getBranches lists, reads the messages, and deletes what no longer shows", async () => {
  const store = createChatStore(database.db, { branches: true });
  const end = ({ persist }: Turn, text: string) => {
    const id = persist.generateMessageId();
    return persist.onEnd({ responseMessage: { ...say("assistant", text, id), metadata: { model: "x" } } });
  };
  const ask = async (id: string, trigger?: "regenerate-message") =>
    end(await store.startTurn({ ...ids, message: say("user", id, id), trigger }), `${id} \u0000 \ud800`);
  const edit = async (id: string, text: string) =>
    end(await store.startTurn({ ...ids, message: say("user", text, id), messageId: id }), text);
  await ask("q1");
  await ask("q2");
  const stored = await database.query(
    "select id, role, parts::text, metadata::text from chat_store.messages order by 1",
  );
  await edit("q1", "Anew");
  await ask("q2");
  await ask("q2", "regenerate-message");
  await ask("q2", "regenerate-message");
  await edit("q2", "And?");

  const points = await store.getBranches(ids);
  expect(points.map(({ afterMessageId, count }) => [afterMessageId, count])).toEqual([
    [null, 2],
    [expect.any(String), 2],
  ]);
  const listed = points.flatMap(({ afterMessageId, branches }) =>
    branches.map(({ id, position, messageCount, createdAt }) => ({
      after_id: afterMessageId,
      id,
      position,
      message_count: messageCount,
      created_at: createdAt,
    })),
  );
  expect(await database.query(list)).toEqual(listed);

  const messages = await database.query<{ branch: string; id: string }>(read);
  const ofFirst = messages.filter(({ branch }) => branch === listed[0]?.id).map(({ branch, ...message }) => message);
  const byId = (rows: { id: string }[]) => rows.sort((a, b) => (a.id < b.id ? -1 : 1));
  expect(byId(ofFirst)).toEqual(byId(stored as { id: string }[]));

  await database.query(forget);
  expect(await store.getBranches(ids)).toEqual(points);
  const count = async () => (await database.query("select from chat_store.branches")).length;
  const before = await count();
  // A store without the option leaves the branch behind the answer, which then no longer shows, and those that hang on it.
  const [, point] = points;
  await createChatStore(database.db).deleteMessage({ ...ids, messageId: point?.afterMessageId ?? "" });
  expect(await store.getBranches(ids)).toEqual(points.slice(0, 1));
  await database.query(forget);
  expect(await count()).toBe(1);
  expect(before).toBe(4);
});
