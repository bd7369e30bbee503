import type { TestDatabase } from "./databases.ts";

/** Every row of the store, with the transaction that wrote it: equal only if nothing at all was written in between. */
export async function snapshot(database: Pick<TestDatabase, "query">) {
  return {
    chats: await database.query(
      `select id, user_id, title, version, created_at::text, updated_at::text,
              archived_at::text, metadata::text, claimed_from, xmin::text
       from chat_store.chats order by id`,
    ),
    messages: await database.query(
      `select chat_id, id, "order", role, parts::text, metadata::text, created_at::text, xmin::text
       from chat_store.messages order by chat_id, "order", id`,
    ),
    turns: await database.query(
      `select chat_id, id::text, question_id, answer_id, replaces::text, chunks, stop, superseded, interrupted,
              started_at::text, beat_at::text, ended_at::text, xmin::text
       from chat_store.turns order by chat_id, id`,
    ),
    turnChunks: await database.query(
      "select chat_id, turn_id::text, seq, text from chat_store.turn_chunks order by chat_id, turn_id, seq",
    ),
    branches: await database.query(
      `select chat_id, id::text, after_id, parent::text, position, created_at::text, message_count, messages::text, xmin::text
       from chat_store.branches order by chat_id, id`,
    ),
  };
}
