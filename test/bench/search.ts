import { createChatStore } from "drizzle-chat-store";
import { drizzle } from "drizzle-orm/node-postgres";
import type pg from "pg";
import { prose } from "./races.ts";

/** Whose chats are searched: how many, and messages of 700 bytes in each. */
const searcher = { userId: "hedy", chats: 5_000, messages: 20 };

/** Looks for what is nowhere, so that every page goes through as much as a page may. */
export async function measureSearch(raw: pg.Client) {
  const { userId, chats, messages } = searcher;
  const texts = JSON.stringify(prose(500).map(({ parts: [part] }) => part?.type === "text" && part.text.slice(0, 650)));
  await raw.query(
    `insert into chat_store.chats (id, user_id, title, updated_at)
     select 'searched ' || c, '${userId}', 'About ' || c, now() - c * interval '1 hour' from generate_series(1, ${chats}) c`,
  );
  await raw.query(
    `insert into chat_store.messages (chat_id, id, "order", role, parts)
     select 'searched ' || c, 'm' || m, m, 'user', json_build_array(json_build_object('type', 'text', 'text', $1::json->((c + m) % 500)))
     from generate_series(1, ${chats}) c, generate_series(0, ${messages - 1}) m`,
    [texts],
  );
  await raw.query("vacuum analyze");

  const store = createChatStore(drizzle(raw));
  const times: number[] = [];
  for (let cursor: string | null | undefined; cursor !== null; ) {
    const start = performance.now();
    const page = await store.searchChats({ userId, query: "Nowhere 🌋", cursor });
    times.push(performance.now() - start);
    cursor = page.cursor;
  }
  const sorted = times.toSorted((a, b) => a - b);
  return { ...searcher, calls: times.length, median: sorted[sorted.length >> 1] ?? 0, longest: sorted.at(-1) ?? 0 };
}

export const searchLine = ({ chats, messages, calls, median, longest }: Awaited<ReturnType<typeof measureSearch>>) =>
  `A search through ${chats.toLocaleString("en")} chats of ${messages} messages of 700 bytes each is ${calls} calls of ${median.toFixed(0)} ms, ` +
  `and ${longest.toFixed(0)} ms at most.`;
