// Projects: thorough. Long: postgres, tables.
import { randomUUID } from "node:crypto";
import type { UIMessage } from "ai";
import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ChatDatabase, createChatStore, type StartTurnInput, type Turn } from "../../src/index.ts";
import { say } from "../support/conversations.ts";
import { createDatabase } from "../support/databases.ts";
import { eventually } from "../support/eventually.ts";
import { isLong } from "../support/long-run.ts";

/**
 * Another transaction is held open while a turn starts or ends, and then commits or rolls back. Whatever it did, the outcome
 * must be one that could also have come about one after the other.
 */

const userId = "u";
const [q1, a1, q2, q3] = [
  say("user", "q1", "q1"),
  say("assistant", "a1", "a1"),
  say("user", "q2", "q2"),
  say("user", "q3", "q3"),
] as const;
const edited = say("user", "edited", "q1");
const regenerate = { trigger: "regenerate-message" } as const;
const submit = { trigger: "submit-message" } as const;

/** A chat [q1, a1, q2] in which two turns are running: q1 is being answered again, and q2 for the first time. */
interface Scene {
  chatId: string;
  again: Turn;
  second: Turn;
}

type Act = (db: ChatDatabase, scene: Scene) => Promise<unknown>;
const starts =
  (message: UIMessage, sent: Partial<StartTurnInput> = {}): Act =>
  (db, { chatId }) =>
    storeOn(db).startTurn({ userId, chatId, message, limit, ...sent });
const saves =
  (...messages: UIMessage[]): Act =>
  (db, { chatId }) =>
    storeOn(db).upsertChat({ userId, chatId, messages });
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

const deletesMessage =
  (messageId: string, following = false): Act =>
  (db, { chatId }) =>
    storeOn(db).deleteMessage({ userId, chatId, messageId, following });
const deletes = runs("delete from chat_store.chats where id = $1");
const theirs: Record<string, Act> = {
  "a claim by another user": runs(`update chat_store.chats set user_id = 'x', claimed_from = (
    select string_agg(encode(sha256(convert_to(id::text || ' u', 'UTF8')), 'hex'), ' ') from chat_store.turns where chat_id = $1
  ) where id = $1`),
  "another question": starts(q3, submit),
  "the first question asked again": starts(q1, regenerate),
  "the second question sent again": starts(q2, submit),
  "an edit of the first question": starts(edited, { ...submit, messageId: "q1" }),
  "two more turns": inOrder(starts(q3, submit), starts(q2, regenerate)),
  "a new title and archiving": (db, { chatId }) =>
    storeOn(db).updateChat({ userId, chatId, title: "Renamed", archived: true }),
  "a deletion of the first answer": deletesMessage("a1"),
  "a deletion of the second question": deletesMessage("q2"),
  "a deletion from the first question on": deletesMessage("q1", true),
  "a change of the second question": (db, { chatId }) =>
    storeOn(db).updateMessage({ userId, chatId, message: say("user", "changed", "q2") }),
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
  "a change of the first answer": (db, { chatId }) =>
    storeOn(db).updateMessage({ userId, chatId, message: say("assistant", "changed", "a1") }),
  "a deletion of the chat": (db, { chatId }) => storeOn(db).deleteChat({ userId, chatId }),
  "a fork of the chat": async (db, { chatId }) => {
    const newChatId = `${chatId} fork`;
    const fork = await storeOn(db).forkChat({ userId, chatId, newChatId, throughMessageId: "q2" });
    if (fork) await storeOn(db).deleteChat({ userId, chatId: newChatId });
  },
  "the first question's new answer": ends("again", "b1"),
  "the second question's answer": ends("second", "a2"),
};

const ways = [{ isPortable: false }, { isPortable: true }, { isPortable: false, window: 1 }];

describe.each(isLong ? ways : ways.slice(0, 1))(
  "A turn beside an open transaction, portable: $isPortable, window: $window",
  ({ isPortable, window }) => {
    let drop: () => Promise<void>;
    let pool: pg.Pool;
    beforeAll(async () => {
      portable = isPortable;
      limit = window;
      const database = await createDatabase();
      drop = database.drop;
      pool = new pg.Pool({ connectionString: database.url, max: 8 });
      // Its sockets close a little after `end`, when the database may be gone already.
      pool.on("error", () => {});
    });
    afterAll(async () => {
      await pool.end();
      await drop();
    });

    const newScene = async (): Promise<Scene> => {
      const chatId = randomUUID();
      const store = storeOn(drizzle(pool));
      await store.upsertChat({ userId, chatId, messages: [q1, a1] });
      const again = await store.startTurn({ userId, chatId, message: q1, ...regenerate });
      return { chatId, again, second: await store.startTurn({ userId, chatId, message: q2 }) };
    };

    /** A chat as its raw rows, without what differs from chat to chat. */
    const rowsOf = async (chatId: string) => {
      const read = async (text: string) => (await pool.query(text, [chatId])).rows;
      return {
        chats: await read("select user_id, version from chat_store.chats where id = $1"),
        messages: await read(
          `select id, "order", parts::text from chat_store.messages where chat_id = $1 order by "order"`,
        ),
        turns: await read(
          `select question_id, replaces, superseded, stop from chat_store.turns where chat_id = $1
         order by question_id, superseded, replaces::text`,
        ),
      };
    };

    const outcomeOf = (work: Promise<unknown>): Promise<string> =>
      work.then(
        () => "done",
        (error: { code: string }) => error.code,
      );

    const isBlockedOrDone = async (work: Promise<unknown>) => {
      let done = false;
      void work.finally(() => {
        done = true;
      });
      const waiting = `select from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock' and pid <> pg_backend_pid()`;
      const look = async () => ((await pool.query(waiting)).rowCount ?? 0) > 0 || done;
      await eventually("the call waits for a lock or is done", look, { every: 1 });
    };

    describe.each(Object.entries(theirs))("An open transaction with %s", (_, theirAct) => {
      test.each(Object.entries(ours))("%s comes out as before or after that transaction", async (_, ourAct) => {
        for (const end of ["commit", "rollback"]) {
          const run = async (order: "at once" | "ours last" | "ours first") => {
            const scene = await newScene();
            const client = await pool.connect();
            const act = () => outcomeOf(ourAct(drizzle(pool), scene));
            try {
              let outcome = order === "ours first" ? await act() : undefined;
              await client.query("begin");
              // In one statement each: the ways that lock would end the transaction that is to be held open.
              portable = false;
              const their = await outcomeOf(theirAct(drizzle(client), scene)).finally(() => {
                portable = isPortable;
              });
              const acting = order === "at once" ? act() : undefined;
              if (acting) await isBlockedOrDone(acting);
              await client.query(end);
              outcome ??= await (acting ?? act());
              return { outcome, their, ...(await rowsOf(scene.chatId)) };
            } finally {
              client.release();
            }
          };
          const oneAfterTheOther = [await run("ours last"), await run("ours first")];
          for (const { their } of oneAfterTheOther) expect(["done", "CHAT_CONFLICT"]).toContain(their);
          expect(oneAfterTheOther).toContainEqual(await run("at once"));
        }
      });
    });
  },
);
