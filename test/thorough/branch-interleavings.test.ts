// Projects: thorough. Long: postgres, tables.
import { randomUUID } from "node:crypto";
import { drizzle } from "drizzle-orm/node-postgres";
import type pg from "pg";
import { afterAll, beforeAll, describe, test } from "vitest";
import { type ChatDatabase, createChatStore, type StartTurnInput, type Turn } from "../../src/index.ts";
import { say } from "../support/conversations.ts";
import { type Act as ActIn, expectOneAfterTheOther, openPool } from "../support/interleavings.ts";
import { isLong } from "../support/long-run.ts";

/**
 * Another transaction is held open while a branch is switched to, or kept, and then commits or rolls back. The conversation
 * and its branches must be as after one of the two, and then the other.
 */

/**
 * A chat [q1, b1, q2, b2]. The answers b1 and b2 have replaced a1 and a2, and q2 was "old" before. q1 is being answered again,
 * and q2 continued by a first answer to a third question.
 */
interface Scene {
  userId: string;
  chatId: string;
  /** The ids of the branches: of a1, of the old q2 with what followed, and of a2. */
  branchIds: [first: string, edited: string, second: string];
  again: Turn;
  third: Turn;
}

type Act = ActIn<Scene>;
const [q1, q2, q3] = [say("user", "q1", "q1"), say("user", "q2", "q2"), say("user", "q3", "q3")] as const;
const regenerate = { trigger: "regenerate-message" } as const;
const submit = { trigger: "submit-message" } as const;

let portable = false;
const storeOn = (db: ChatDatabase) => createChatStore(db, { portable, branches: true });
const starts =
  (message: typeof q1, sent: Partial<StartTurnInput> = {}): Act =>
  (db, { userId, chatId }) =>
    storeOn(db).startTurn({ userId, chatId, message, ...sent });
const switches =
  (which: 0 | 1 | 2): Act =>
  (db, { userId, chatId, branchIds }) =>
    storeOn(db).switchBranch({ userId, chatId, branchId: branchIds[which] });
const deletes =
  (messageId: string, following = false): Act =>
  (db, { userId, chatId }) =>
    storeOn(db).deleteMessage({ userId, chatId, messageId, following });
const saves =
  (...messages: (typeof q1)[]): Act =>
  (db, { userId, chatId }) =>
    storeOn(db).upsertChat({ userId, chatId, messages });
/** Turns keep the database that they were started on. */
const ends =
  (which: "again" | "third", id: string): Act =>
  (_, scene) =>
    scene[which].persist.onEnd({ responseMessage: say("assistant", id, id) });

const switching = {
  "a switch of the first answer": switches(0),
  "a switch of the second question": switches(1),
  "a switch of the second answer": switches(2),
};
const others: Record<string, Act> = {
  "a new question": starts(say("user", "q4", "q4"), submit),
  "an edit of the first question": starts(say("user", "new", "q1"), { ...submit, messageId: "q1" }),
  "the second question asked again": starts(q2, regenerate),
  "a deletion of the first answer": deletes("b1"),
  "a deletion from the second question on": deletes("q2", true),
  "a change of the second answer": (db, { userId, chatId }) =>
    storeOn(db).updateMessage({ userId, chatId, message: say("assistant", "changed", "b2") }),
  "a save without the second answer": saves(q1, say("assistant", "b1", "b1"), q2),
  "a deletion of the chat": (db, { userId, chatId }) => storeOn(db).deleteChat({ userId, chatId }),
  "a claim by another user": (db, { userId }) => storeOn(db).claimChats({ fromUserId: userId, userId: "x" }),
};
const theirs = {
  ...switching,
  ...others,
  "a lock on the chat": (async (db, { chatId }) =>
    db.execute(`select from chat_store.chats where id = '${chatId}' for update`)) as Act,
};
const ours = {
  ...switching,
  ...(isLong ? others : {}),
  "the first question's new answer": ends("again", "c1"),
  "the third question's answer": ends("third", "a3"),
};

describe.each(isLong ? [false, true] : [false])("A branch beside an open transaction, portable: %s", (isPortable) => {
  let close: () => Promise<void>;
  let pool: pg.Pool;
  beforeAll(async () => {
    portable = isPortable;
    ({ pool, close } = await openPool());
  });
  afterAll(() => close());

  const newScene = async (): Promise<Scene> => {
    const chatId = randomUUID();
    const ids = { userId: `user of ${chatId}`, chatId };
    const store = storeOn(drizzle(pool));
    const ask = async (message: typeof q1, answerId: string, sent: Partial<StartTurnInput> = submit) => {
      const turn = await store.startTurn({ ...ids, message, ...sent });
      await turn.persist.onEnd({ responseMessage: say("assistant", answerId, answerId) });
    };
    await ask(q1, "a1");
    await ask(q1, "b1", regenerate);
    await ask(say("user", "old", "q2"), "old");
    await ask(q2, "a2", { ...submit, messageId: "q2" });
    await ask(q2, "b2", regenerate);
    const points = await store.getBranches(ids);
    const branchIds = points.flatMap(({ branches }) => branches.map(({ id }) => id)) as Scene["branchIds"];
    const again = await store.startTurn({ ...ids, message: q1, ...regenerate });
    const third = await store.startTurn({ ...ids, message: q3 });
    return { ...ids, branchIds, again, third };
  };

  const rowsOf = async ({ chatId, again, third }: Scene) => {
    const read = async (text: string) => {
      const rows = JSON.stringify((await pool.query(text, [chatId])).rows)
        .replaceAll(again.persist.generateMessageId(), "the first answer")
        .replaceAll(third.persist.generateMessageId(), "the third answer")
        .replaceAll(chatId, "chat")
        .replaceAll(/[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}/g, "an id")
        .replaceAll(/\d{10}\.\d+/g, "a time");
      return JSON.parse(rows) as object[];
    };
    return {
      chats: await read("select user_id, version from chat_store.chats where id = $1"),
      messages: await read(`select id, parts::text from chat_store.messages where chat_id = $1 order by "order"`),
      branches: await read(
        `select b.after_id, b.position, b.message_count, b.messages::text, p.after_id as parent_after, p.position as parent_position
         from chat_store.branches b left join chat_store.branches p on p.chat_id = b.chat_id and p.id = b.parent
         where b.chat_id = $1 order by b.after_id, b.position, b.messages::text`,
      ),
      turns: await read(
        `select question_id, answer_id, replaces, superseded, stop from chat_store.turns
         where chat_id = $1 order by question_id, superseded, replaces::text`,
      ),
    };
  };

  describe.each(Object.entries(theirs))("An open transaction with %s", (_, theirAct) => {
    test.each(Object.entries(ours))("%s comes out as before or after that transaction", async (_, ours) => {
      // In one statement each: the ways that lock would end the transaction that is held open.
      const theirs: Act = (db, scene) => {
        portable = false;
        return theirAct(db, scene).finally(() => {
          portable = isPortable;
        });
      };
      await expectOneAfterTheOther({ pool, newScene, theirs, ours, rowsOf });
    });
  });
});
