import type { UIMessage } from "ai";
import type { ChatClient, ClientChatPage } from "../client.ts";

interface LoadOptions<M extends UIMessage, C> {
  client: Pick<ChatClient<M, C>, "get">;
  chatId: string;
  pageSize: number;
  /** The ids of the messages on the page. */
  shownIds: readonly string[];
  /** The version that the page shows: if the chat still has it, its last messages suffice. */
  version: number | undefined;
}

/** How many messages more than shown are loaded at most, to find the oldest shown one again. */
const growth = 200;
/** The handler gives at most so many at once. */
const maxLimit = 1_000;

/** Loads the last messages of a chat, back to the oldest one on the page. All of them have the same version. */
export async function loadMessages<M extends UIMessage, C>(
  options: LoadOptions<M, C>,
  retries = 3,
): Promise<ClientChatPage<M, C> | null> {
  const { client, chatId, pageSize, shownIds, version } = options;
  let page = await client.get(chatId, { limit: pageSize });
  if (page?.chat.version === version) return page;
  const isEnough = ({ messages, hasMore }: ClientChatPage<M, C>) =>
    !hasMore ||
    shownIds.length === 0 ||
    messages.length >= shownIds.length + growth ||
    messages.some(({ id }) => id === shownIds[0]);
  while (page && !isEnough(page)) {
    const limit = Math.min(Math.max(shownIds.length - page.messages.length, pageSize), maxLimit);
    const older = await client.get(chatId, { limit, before: page.messages[0]?.id }).catch(nullIfChanged);
    if (older?.chat.version === page.chat.version) page = withOlder(page, older);
    // Another writer came between the two requests. The last messages alone are right, too.
    else return retries > 0 ? loadMessages(options, retries - 1) : page;
  }
  return page;
}

/** The message `before` is not in the chat any more. */
function nullIfChanged(error: { code?: unknown }): null {
  if (error.code === "conflict") return null;
  throw error;
}

const withOlder = <M extends UIMessage, C>(page: ClientChatPage<M, C>, older: ClientChatPage<M, C>) => ({
  chat: page.chat,
  messages: [...older.messages, ...page.messages],
  sentAt: [...older.sentAt, ...page.sentAt],
  hasMore: older.hasMore,
  ...(page.branches && { branches: page.branches }),
});
