import { closeSync, openSync, readSync } from "node:fs";
import { linesOf } from "./conversations.ts";
import type { Server } from "./server.ts";
import type { Entry } from "./writer.ts";

/** What the writers' journals say, read on from where they were left. */
export function createJournals(files: string[]) {
  const descriptors = files.map((file) => ({ file: openSync(file, "a+"), position: 0, rest: "" }));
  const buffer = Buffer.alloc(1 << 16);
  /** Of each chat, the name of the save by its content, with its branches. */
  const attempts = new Map<string, Map<string, string>>();
  /** Of each chat, the save by the version that it was acknowledged with, and the newest of these versions. */
  const acknowledged = new Map<string, Map<number, string>>();
  const newest = new Map<string, number>();
  /** The version of each acknowledged save. */
  const versions = new Map<string, number>();
  const counts = { attempts: 0, acknowledged: 0, conflicts: 0, deleted: 0 };
  /** Chats of which somebody has begun to delete them, and those that are said to be deleted. */
  const doomed = new Set<string>();
  const gone = new Set<string>();
  const retries = new Map<string, number>();
  const acknowledgedPerWriter = files.map(() => 0);

  function take(entry: Entry, index: number) {
    if ("attempt" in entry) {
      counts.attempts++;
      of(attempts, entry.chatId).set(JSON.stringify([entry.lines, entry.kept ?? []]), entry.attempt);
    } else if ("acknowledged" in entry) {
      counts.acknowledged++;
      acknowledgedPerWriter[index] = (acknowledgedPerWriter[index] ?? 0) + 1;
      of(acknowledged, entry.chatId).set(entry.version, entry.acknowledged);
      newest.set(entry.chatId, Math.max(entry.version, newest.get(entry.chatId) ?? 0));
      versions.set(entry.acknowledged, entry.version);
    } else if ("conflict" in entry) counts.conflicts++;
    else if ("deleting" in entry) doomed.add(entry.deleting);
    else if ("deleted" in entry) {
      counts.deleted++;
      gone.add(entry.deleted);
    } else retries.set(entry.retry, (retries.get(entry.retry) ?? 0) + 1);
  }

  function read() {
    for (const [index, journal] of descriptors.entries()) {
      for (;;) {
        const length = readSync(journal.file, buffer, 0, buffer.length, journal.position);
        if (length === 0) break;
        journal.position += length;
        const lines = (journal.rest + buffer.toString("latin1", 0, length)).split("\n");
        journal.rest = lines.pop() ?? "";
        for (const line of lines) take(JSON.parse(line), index);
      }
    }
  }

  return {
    counts,
    retries,
    read,
    /** How many saves each writer has had acknowledged. */
    acknowledgedPerWriter,

    /** What is stored must be whole saves, and no older than what had been acknowledged before it was looked at. */
    async check(server: Server) {
      read();
      const least = new Map(newest);
      const mustBeGone = [...gone];
      const stored = await snapshot(server);
      // Saves go on meanwhile: what is stored may be one that began after `least` was found.
      read();
      for (const chatId of mustBeGone) {
        if (stored.has(chatId)) throw new Error(`back: chat ${chatId} is there, but was deleted`);
      }
      for (const [chatId, version] of least) {
        if (doomed.has(chatId)) continue;
        const chat = stored.get(chatId);
        if (!chat) throw new Error(`lost: chat ${chatId} is not there, but was acknowledged at version ${version}`);
        if (chat.version < version) {
          throw new Error(`lost: chat ${chatId} is at version ${chat.version}, but was acknowledged at ${version}`);
        }
      }
      for (const [chatId, chat] of stored) {
        const save = attempts.get(chatId)?.get(JSON.stringify([linesOf(chat.messages), chat.kept]));
        if (chat.orders.some((order, index) => order !== index)) {
          throw new Error(`torn: chat ${chatId} has its messages at ${chat.orders}`);
        }
        if (!save) throw new Error(`torn: chat ${chatId} is what no save has made of it: ${ids(chat)}`);
        const expected = acknowledged.get(chatId)?.get(chat.version) ?? save;
        if (save !== expected) {
          throw new Error(`lost: version ${chat.version} of ${chatId} is ${save}, not ${expected}`);
        }
        const version = versions.get(save) ?? chat.version;
        if (chat.version !== version) {
          throw new Error(`torn: chat ${chatId} is at version ${chat.version} with what was saved as ${version}`);
        }
      }
    },
    close: () => {
      for (const { file } of descriptors) closeSync(file);
    },
  };
}

interface Stored {
  version: number;
  messages: Parameters<typeof linesOf>[0];
  orders: number[];
  /** The ids of the messages in its branches. */
  kept: string[];
}

/** All chats at one moment, past the store. */
async function snapshot({ query }: Server): Promise<Map<string, Stored>> {
  const rows = await query<Stored & { id: string }>(`
    select c.id, version,
      coalesce(json_agg(json_build_object('id', m.id, 'role', role, 'metadata', m.metadata, 'parts', parts)
        order by "order") filter (where m.id is not null), '[]') messages,
      coalesce(array_agg("order" order by "order") filter (where m.id is not null), '{}') orders,
      array(
        select e.message->>0
        from chat_store.branches b, json_array_elements(b.messages) e (message)
        where b.chat_id = c.id
      ) kept
    from chat_store.chats c left join chat_store.messages m on chat_id = c.id group by c.id`);
  return new Map(rows.map((row) => [row.id, row]));
}

const ids = ({ messages }: Stored) => messages.map(({ id }) => id).join(" ") || "no messages";

function of<K, V>(maps: Map<string, Map<K, V>>, chatId: string): Map<K, V> {
  const map = maps.get(chatId) ?? new Map<K, V>();
  maps.set(chatId, map);
  return map;
}
