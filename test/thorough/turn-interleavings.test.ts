// Projects: thorough. Long: postgres, tables.
import { randomUUID } from "node:crypto";
import type { UIMessage } from "ai";
import { drizzle } from "drizzle-orm/node-postgres";
import type pg from "pg";
import { afterAll, beforeAll, describe, test } from "vitest";
import { type ChatDatabase, createChatStore, type StartTurnInput, type Turn } from "../../src/index.ts";
import { toSseEvent } from "../../src/turns/sse-events.ts";
import { say } from "../support/conversations.ts";
import { type Act as ActIn, expectOneAfterTheOther, openPool } from "../support/interleavings.ts";
import { isLong } from "../support/long-run.ts";

/**
 * Another transaction is held open while a turn starts or ends, and then commits or rolls back. Whatever it did, the outcome
 * must be one that could also have come about one after the other.
 */

const [q1, a1, q2, q3] = [
  say("user", "q1", "q1"),
  say("assistant", "a1", "a1"),
  say("user", "q2", "q2"),
  say("user", "q3", "q3"),
] as const;
const edited = say("user", "edited", "q1");
/** A question before these, whose answer acts on an approval. */
const q0 = say("user", "q0", "q0");
const tool = (state: string, more: object = {}) =>
  ({ type: "tool-pay", toolCallId: "t", state, input: {}, approval: { id: "t", approved: true }, ...more }) as never;
const a0 = (words: string, ...parts: UIMessage["parts"]): UIMessage => ({
  id: "a0",
  role: "assistant",
  parts: [{ type: "text", text: words }, ...parts],
});
const [asks, acts] = [a0("May I?", tool("approval-requested", { approval: { id: "t" } })), tool("approval-responded")];
const hasActed = [tool("output-available", { output: "paid" }), { type: "text" as const, text: "Done." }];
const regenerate = { trigger: "regenerate-message" } as const;
const submit = { trigger: "submit-message" } as const;

/**
 * A chat [q0, a0, q1, a1, q2] in which three turns are running: a0 is being continued with an approved tool, q1 is being answered again,
 * and q2 for the first time. The process of the last one may seem dead.
 */
interface Scene {
  userId: string;
  chatId: string;
  continuing: Turn;
  again: Turn;
  second: Turn;
}

type Act = ActIn<Scene>;
const starts =
  (message: UIMessage, sent: Partial<StartTurnInput> = {}): Act =>
  (db, { userId, chatId }) =>
    storeOn(db).startTurn({ userId, chatId, message, limit, ...sent });
const saves =
  (...messages: UIMessage[]): Act =>
  (db, { userId, chatId }) =>
    storeOn(db).upsertChat({ userId, chatId, messages: [q0, a0("May I?", acts), ...messages] });
const runs =
  (text: string): Act =>
  (db, { chatId }) =>
    db.execute(text.replaceAll("$1", `'${chatId}'`));
const inOrder =
  (...acts: Act[]): Act =>
  async (db, scene) => {
    for (const act of acts) await act(db, scene);
  };

let portable = false;
let limit: number | undefined;
const storeOn = (db: ChatDatabase) => createChatStore(db, { portable });

const changes =
  (message: UIMessage): Act =>
  (db, { userId, chatId }) =>
    storeOn(db).updateMessage({ userId, chatId, message });
const recovers: Act = async (db, { userId, chatId }) => (await storeOn(db).resumeTurn({ userId, chatId }))?.cancel();
const deletesMessage =
  (messageId: string, following = false): Act =>
  (db, { userId, chatId }) =>
    storeOn(db).deleteMessage({ userId, chatId, messageId, following });
const deletes = runs("delete from chat_store.chats where id = $1");
const theirs: Record<string, Act> = {
  "a claim by another user": (db, { userId }) => storeOn(db).claimChats({ fromUserId: userId, userId: "x" }),
  "another question": starts(q3, submit),
  "the first question asked again": starts(q1, regenerate),
  "the second question sent again": starts(q2, submit),
  "an edit of the first question": starts(edited, { ...submit, messageId: "q1" }),
  "two more turns": inOrder(starts(q3, submit), starts(q2, regenerate)),
  "a new title and archiving": (db, { userId, chatId }) =>
    storeOn(db).updateChat({ userId, chatId, title: "Renamed", archived: true }),
  "a deletion of the first answer": deletesMessage("a1"),
  "a deletion of the second question": deletesMessage("q2"),
  "a deletion from the first question on": deletesMessage("q1", true),
  "a change of the second question": changes(say("user", "changed", "q2")),
  "a change of the continued answer": changes(a0("redacted", acts)),
  "a save that changes the continued answer": (db, { userId, chatId }) =>
    storeOn(db).upsertChat({ userId, chatId, messages: [q0, a0("redacted", acts), q1, a1, q2] }),
  "a deletion of the continued answer": deletesMessage("a0"),
  "the continued answer's end": (_, { continuing }) =>
    continuing.persist.onEnd({ responseMessage: a0("May I?", ...hasActed) }),
  "a page that loads": recovers,
  "a notice after the second question": saves(q1, a1, q2, say("assistant", "notice", "notice")),
  "a save without the second question": saves(q1, a1),
  "a deletion of the chat": deletes,
  "a deletion and a new chat under its id": inOrder(deletes, starts(q2, submit)),
  "a change of owner": runs("update chat_store.chats set user_id = 'x', version = version + 1 where id = $1"),
  "a lock on the chat": runs("select from chat_store.chats where id = $1 for update"),
};

/** Turns keep the database that they were started on, so that it is given to them here. */
const ends =
  (which: "again" | "second", id: string): Act =>
  (_, scene) =>
    scene[which].persist.onEnd({ responseMessage: say("assistant", id, id) });
const ours: Record<string, Act> = {
  "another question": starts(say("user", "q4", "q4"), submit),
  "the first question asked again": starts(q1, regenerate),
  "an edit of the first question": starts(edited, { ...submit, messageId: "q1" }),
  "the second question sent again": starts(q2, submit),
  "a deletion of the second question": deletesMessage("q2"),
  "a change of the first answer": changes(say("assistant", "changed", "a1")),
  "a change of the continued answer": changes(a0("changed", acts)),
  "the continued answer's end": (_, { continuing }) =>
    continuing.persist.onEnd({ responseMessage: a0("May I?", ...hasActed) }),
  "a page that loads": recovers,
  "a deletion of the chat": (db, { userId, chatId }) => storeOn(db).deleteChat({ userId, chatId }),
  "a fork of the chat": async (db, { userId, chatId }) => {
    const newChatId = `${chatId} fork`;
    const fork = await storeOn(db).forkChat({ userId, chatId, newChatId, throughMessageId: "q2" });
    if (fork) await storeOn(db).deleteChat({ userId, chatId: newChatId });
  },
  "the first question's new answer": ends("again", "b1"),
  "the second question's answer": ends("second", "a2"),
};

const findDead = ["a page that loads", "another question"];

const ways = [
  { isPortable: false },
  { isPortable: false, isDead: true },
  { isPortable: true },
  { isPortable: true, isDead: true },
  { isPortable: false, window: 1 },
];

describe.each(isLong ? ways : ways.slice(0, 2))(
  "A turn beside an open transaction, portable: $isPortable, window: $window, the last turn is dead: $isDead",
  ({ isPortable, window, isDead }) => {
    let close: () => Promise<void>;
    let pool: pg.Pool;
    beforeAll(async () => {
      portable = isPortable;
      limit = window;
      ({ pool, close } = await openPool());
    });
    afterAll(() => close());

    const newScene = async (): Promise<Scene> => {
      const chatId = randomUUID();
      const userId = `user of ${chatId}`;
      const ids = { userId, chatId };
      const store = storeOn(drizzle(pool));
      await store.upsertChat({ ...ids, messages: [q0, asks] });
      const continuing = await store.startTurn({ ...ids, message: a0("May I?", acts) });
      await store.upsertChat({ ...ids, after: "a0", messages: [q1, a1] });
      const again = await store.startTurn({ ...ids, message: q1, ...regenerate });
      const second = await store.startTurn({ ...ids, message: q2 });
      if (isDead) await die(second, chatId);
      return { ...ids, continuing, again, second };
    };
    const die = async (turn: Turn, chatId: string) => {
      const messageId = turn.persist.generateMessageId();
      const chunks = [
        { type: "start", messageId },
        { type: "text-start", id: "1" },
        { type: "text-delta", id: "1", delta: "The beginning" },
      ];
      await turn.consumeSseStream({ stream: ReadableStream.from([chunks.map(toSseEvent).join("")]) });
      await pool.query("update chat_store.turns set beat_at = 'epoch' where chat_id = $1 and chunks > 0", [chatId]);
    };

    /** A chat as its raw rows, without what differs from chat to chat. */
    const rowsOf = async ({ chatId, second }: Scene, outcome: string) => {
      const read = async (text: string) => {
        const rows = JSON.stringify((await pool.query(text, [chatId])).rows);
        const named = rows
          .replaceAll(second.persist.generateMessageId(), "the second answer")
          .replaceAll(chatId, "chat");
        return JSON.parse(named.replaceAll(/[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}/g, "another answer")) as object[];
      };
      // A call that is refused may have found a turn dead. Where it is a transaction, that is rolled back with it.
      const isKept = outcome === "done";
      const turns = await read(
        `select question_id, answer_id, replaces, superseded, stop, ended_at is not null and ${isKept} ended,
           interrupted and ${isKept} interrupted, recovered_digest is not null recovered
         from chat_store.turns where chat_id = $1`,
      );
      return {
        chats: await read("select user_id, version from chat_store.chats where id = $1"),
        messages: await read(
          `select id, "order", parts::text from chat_store.messages where chat_id = $1 order by "order"`,
        ),
        turns: turns.map((turn) => JSON.stringify(turn)).sort(),
      };
    };

    // Beside a dead turn, the usual run tries only the transactions that find it dead.
    const tried = Object.entries(theirs).filter(([name]) => isLong || !isDead || findDead.includes(name));
    describe.each(tried)("An open transaction with %s", (_, theirAct) => {
      test.each(Object.entries(ours))("%s comes out as before or after that transaction", async (_, ourAct) => {
        // In one statement each: the ways that lock would end the transaction that is held open.
        const theirs: Act = (db, scene) => {
          portable = false;
          return theirAct(db, scene).finally(() => {
            portable = isPortable;
          });
        };
        await expectOneAfterTheOther({ pool, newScene, theirs, ours: ourAct, rowsOf });
      });
    });
  },
);
