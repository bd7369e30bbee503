import { expect, test } from "vitest";
import { runCommandLine } from "../../src/cli/command-line.ts";
import { openEmptyDatabase, root, runCommand, withoutChance } from "../support/command-line.ts";

async function openMigrated() {
  const { url, query } = await openEmptyDatabase();
  await runCommand(["migrate"], { databaseUrl: url });
  const insertOldChats = (count: number) =>
    query(`insert into chat_store.chats (id, user_id, title, updated_at)
      select 'c' || n, 'u', '', '2000-01-01' from generate_series(1, ${count}) n`);
  const purge = async (args: string[] = [], confirm?: (question: string) => Promise<boolean>) => {
    const lines: string[] = [];
    const output = { print: (text: string) => void lines.push(text), printError: expect.fail, confirm };
    await runCommandLine(["purge", "--older-than", "1d", ...args], { databaseUrl: url, cwd: root, ...output });
    return lines.map(withoutChance).slice(1);
  };
  return { query, insertOldChats, purge };
}

test("purge prints its progress where there are several batches, and nothing where there is one", async () => {
  const { insertOldChats, purge } = await openMigrated();
  await insertOldChats(4_500);
  const progress = ["So far: 2000 chats", "So far: 4000 chats"];
  expect(await purge(["--dry-run"])).toEqual([
    ...progress,
    "Would delete 4500 chats without activity since <minute> UTC.",
  ]);
  expect(await purge()).toEqual([...progress, "Deleted 4500 chats without activity since <minute> UTC."]);
  await insertOldChats(1);
  expect(await purge(["--dry-run"])).toEqual(["Would delete 1 chat without activity since <minute> UTC."]);
  expect(await purge()).toEqual(["Deleted 1 chat without activity since <minute> UTC."]);
});

test("purge mentions recordings only if it deletes some", async () => {
  const { query, purge } = await openMigrated();
  await query(`
    insert into chat_store.chats (id, user_id, title) values ('c', 'u', '');
    insert into chat_store.turns (chat_id, id, question_id, question_digest, answer_id, replaces, started_at, ended_at)
      values ('c', gen_random_uuid(), 'q', '', 'a', '[]', now() - interval '2 days', now() - interval '2 days')`);
  expect(await purge()).toEqual([
    "Deleted 0 chats without activity since <minute> UTC.\nDeleted the recordings of 1 ended turn in chats that stay.",
  ]);
  expect(await purge()).toEqual(["Deleted 0 chats without activity since <minute> UTC."]);
});

test("purge asks where there is something to delete, and then deletes no chat that became inactive meanwhile", async () => {
  const { query, insertOldChats, purge } = await openMigrated();
  const asked: string[] = [];
  const confirm = async (question: string) => {
    asked.push(question);
    await query("insert into chat_store.chats values ('later', 'u', '', 1, now(), now() - interval '1 day')");
    const isOverdue =
      "select now() - interval '1 day 2 seconds' > updated_at as due from chat_store.chats where id = 'later'";
    await expect.poll(() => query(isOverdue)).toEqual([{ due: true }]);
    return true;
  };
  expect(await purge([], confirm)).toEqual(["Deleted 0 chats without activity since <minute> UTC."]);
  expect(asked).toEqual([]);

  await insertOldChats(2);
  expect(await purge([], confirm)).toEqual([
    "Would delete 2 chats without activity since <minute> UTC.",
    "Deleted 2 chats without activity since <minute> UTC.",
  ]);
  expect(asked).toEqual([expect.stringMatching(/^Delete them from database "\w+" at \S+\?$/)]);
  expect(await query("select id from chat_store.chats")).toEqual([{ id: "later" }]);
});
