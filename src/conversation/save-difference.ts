import { and, eq, sql } from "drizzle-orm";
import { ChatConflictError, ChatOwnershipError } from "../errors.ts";
import { type ChatTables, ownedBy } from "../schema.ts";
import type { Chat, ChatDatabase } from "../types.ts";
import { chunks, difference, type Save } from "./messages.ts";

/** Thrown to roll back the lock's increment of the version when it turns out that there is nothing to save. */
export class Unchanged {
  constructor(readonly chat: Chat) {}
}

/**
 * The conversation becomes `save.rows`, at the price of what differs. Takes the chat's lock with its first statement, so
 * savers of one chat take turns and the result is always exactly one saver's conversation.
 */
export async function saveDifference(tx: ChatDatabase, { chats, messages }: ChatTables, save: Save): Promise<Chat> {
  const { userId, chatId, title, expectedVersion, rows } = save;

  // Creates the chat, or locks it if it is this user's. Must stay a statement of its own: only a later one, on a newer
  // snapshot, sees what was committed while this one waited.
  const [locked] = await tx
    .insert(chats)
    .values({ id: chatId, userId, title: title ?? "" })
    .onConflictDoUpdate({
      target: chats.id,
      set: { version: sql`${chats.version} + 1` },
      setWhere: ownedBy(chats, userId),
    })
    .returning();
  if (!locked) throw new ChatOwnershipError({ chatId });

  const stored = locked.version === 1 ? null : { ...locked, version: locked.version - 1 };
  const storedMessages = stored
    ? await tx
        .select({ id: messages.id, order: messages.order, digest: sql<string>`encode(${messages.digest}, 'hex')` })
        .from(messages)
        .where(eq(messages.chatId, chatId))
    : [];
  const { removed, moved, changed, isEmpty } = difference(storedMessages, rows);

  const sameTitle = title === undefined || title === stored?.title;
  if (stored && sameTitle && isEmpty) throw new Unchanged(stored);
  if (expectedVersion !== undefined && expectedVersion !== (stored?.version ?? 0)) {
    throw new ChatConflictError({ chatId, expectedVersion, actualVersion: stored?.version ?? null });
  }

  if (removed.length > 0) {
    await tx
      .delete(messages)
      .where(
        and(eq(messages.chatId, chatId), sql`${messages.id} in (select json_array_elements_text(${json(removed)}))`),
      );
  }
  if (moved.length > 0) {
    await tx
      .update(messages)
      .set({ order: sql`moved."order"` })
      .from(sql`json_to_recordset(${json(moved)}) as moved (id text, "order" int)`)
      .where(and(eq(messages.chatId, chatId), sql`${messages.id} = moved.id`));
  }
  for (const chunk of chunks(changed)) {
    await tx
      .insert(messages)
      .values(
        chunk.map(({ id, order, role, parts, metadata }) => ({
          chatId,
          id,
          order,
          role,
          // Already JSON: through text, or Drizzle and some drivers would serialise the text once more.
          parts: sql`${parts}::text::json`,
          metadata: sql`${metadata}::text::json`,
        })),
      )
      .onConflictDoUpdate({
        target: [messages.chatId, messages.id],
        set: {
          order: sql`excluded."order"`,
          role: sql`excluded.role`,
          parts: sql`excluded.parts`,
          metadata: sql`excluded.metadata`,
        },
      });
  }
  if (!stored) return locked;

  const [saved = locked] = await tx
    .update(chats)
    .set({ title, updatedAt: sql`greatest(${chats.updatedAt}, now())` })
    .where(and(eq(chats.id, chatId), ownedBy(chats, userId)))
    .returning();
  return saved;
}

/** One text parameter in place of many: a statement takes at most 65,535, and drivers differ in how they send arrays. */
const json = (value: unknown) => sql`${JSON.stringify(value)}::text::json`;
