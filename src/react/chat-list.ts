import type { UIMessage } from "ai";
import type { ChatClient, ChatEvent, ChatList, ClientChat, UpdateBody } from "../client.ts";
import { coalesce, shareThen } from "./coalesce.ts";
import { createObservable, type Observable } from "./observable.ts";
import type { StoredChatError } from "./types.ts";

export interface ChatListOptions<C> {
  /** The archived chats instead of the others. */
  archived?: boolean | undefined;
  /** The first chats of the list, if your server has loaded them: the hook shows them at once. */
  chats?: ClientChat<C>[] | undefined;
  /** How many chats to load at once. Default 30. */
  pageSize?: number | undefined;
}

export interface ChatListState<C> {
  /** Newest activity first, with the changes that the server does not have yet. */
  chats: ClientChat<C>[];
  /** `failed`: the first load has failed. A list that is loaded stays so: if a later load fails, its chats stay. */
  loadStatus: "loading" | "loaded" | "failed";
  /** Why the latest load has failed. */
  loadError: StoredChatError | undefined;
  /** Whether there are more chats. */
  hasMore: boolean;
  isLoadingMore: boolean;
}

/** A list of chats on a page. Knows nothing of React's renders. */
export interface ChatListOnPage<C> {
  readonly state: Observable<ChatListState<C>>;
  connect(): () => void;
  refetch(): Promise<void>;
  loadMore(): Promise<void>;
  update(chatId: string, changes: UpdateBody<C>): Promise<ClientChat<C> | null>;
  remove(chatId: string): Promise<boolean>;
}

/** A change that the server does not have yet. `null`: the chat is being removed. */
type Pending<C> = { chatId: string; changes: UpdateBody<C> | null };

/** The handler gives at most so many chats at once. */
const maxLimit = 1_000;

export function createChatList<M extends UIMessage, C>(
  client: ChatClient<M, C>,
  { archived = false, chats: firstChats, pageSize = 30 }: ChatListOptions<C>,
): ChatListOnPage<C> {
  // When the page switches to the archived chats, the server may still have given the others.
  const given = firstChats?.every(isListed) ? firstChats : undefined;
  let stored = given ?? [];
  /** Of the next page. Undefined if only the first chats are known, `null` at the end. */
  let cursor: string | null | undefined;
  /** How often `stored` has changed: a list that was asked for before is out of date. */
  let revision = 0;
  let pending: Pending<C>[] = [];
  /** Something has changed while a change was under way. */
  let isOutdated = false;

  const state = createObservable<ChatListState<C>>({
    chats: stored,
    loadStatus: given ? "loaded" : "loading",
    loadError: undefined,
    hasMore: (given?.length ?? 0) >= pageSize,
    isLoadingMore: false,
  });

  function isListed({ archivedAt }: ClientChat<C>): boolean {
    return (archivedAt !== null) === archived;
  }

  /** The stored chats with the changes that are under way. */
  function render(): ClientChat<C>[] {
    return stored.flatMap((chat) => {
      const own = pending.filter(({ chatId }) => chatId === chat.id);
      if (own.some(({ changes }) => changes === null)) return [];
      const changed = own.reduce((chat, { changes }) => withChanges(chat, changes), chat);
      return isListed(changed) ? [changed] : [];
    });
  }

  async function listFirst(count: number): Promise<ChatList<C>> {
    let list = await client.list({ archived, limit: Math.min(count, maxLimit) });
    while (list.cursor !== null && list.chats.length < count) {
      const limit = Math.min(count - list.chats.length, maxLimit);
      list = append(list, await client.list({ archived, limit, cursor: list.cursor }));
    }
    return list;
  }

  const refetch = coalesce(async () => {
    isOutdated = false;
    for (;;) {
      const revisionBefore = revision;
      try {
        const list = await listFirst(Math.max(stored.length, pageSize));
        // Otherwise it may not have a change or a page that is shown.
        if (revision !== revisionBefore) continue;
        revision += 1;
        stored = list.chats;
        cursor = list.cursor;
        state.set({ chats: render(), loadStatus: "loaded", loadError: undefined, hasMore: cursor !== null });
      } catch (error) {
        keepError(error as StoredChatError);
      }
      return;
    }
  });

  const onMoreLoaded = () => state.set({ isLoadingMore: false });
  const loadMore = shareThen(onMoreLoaded, async () => {
    if (!state.get().hasMore) return;
    state.set({ isLoadingMore: true });
    try {
      // The server has loaded the first chats without a cursor.
      if (cursor === undefined) await refetch();
      while (cursor) {
        const revisionBefore = revision;
        const list = await client.list({ archived, limit: pageSize, cursor });
        // Otherwise the page may not follow the chats that are shown by now.
        if (revision !== revisionBefore) continue;
        revision += 1;
        stored = append({ chats: stored, cursor }, list).chats;
        cursor = list.cursor;
        state.set({ chats: render(), loadError: undefined, hasMore: cursor !== null });
        return;
      }
    } catch (error) {
      keepError(error as StoredChatError);
    }
  });

  /** The page keeps its chats. */
  function keepError(loadError: StoredChatError): void {
    const { loadStatus } = state.get();
    state.set({ loadError, loadStatus: loadStatus === "loading" ? "failed" : loadStatus });
  }

  /** Shows a change at once, and takes it back if the server refuses it. */
  async function change<Result>(
    own: Pending<C>,
    send: () => Promise<Result>,
    confirm: (result: Result) => void,
  ): Promise<Result> {
    pending = [...pending, own];
    state.set({ chats: render() });
    try {
      const result = await send();
      confirm(result);
      return result;
    } finally {
      revision += 1;
      pending = pending.filter((other) => other !== own);
      state.set({ chats: render() });
      if (isOutdated && pending.length === 0) void refetch();
    }
  }

  const without = (chatId: string) => stored.filter(({ id }) => id !== chatId);

  return {
    state,
    refetch,
    loadMore,

    connect() {
      const unsubscribe = client.subscribe((event: ChatEvent) => {
        if (event.type === "message-deleted") return;
        isOutdated = pending.length > 0;
        if (!isOutdated) void refetch();
      });
      void refetch();
      return unsubscribe;
    },

    update: (chatId, changes) =>
      change(
        { chatId, changes },
        () => client.update(chatId, changes),
        (updated) => {
          stored = updated ? stored.map((chat) => (chat.id === chatId ? updated : chat)) : without(chatId);
        },
      ),

    remove: (chatId) =>
      change(
        { chatId, changes: null },
        () => client.delete(chatId),
        () => {
          stored = without(chatId);
        },
      ),
  };
}

/** A chat whose activity is new between two requests comes in neither page, or in both. */
function append<C>({ chats }: ChatList<C>, { chats: more, cursor }: ChatList<C>): ChatList<C> {
  const known = new Set(chats.map(({ id }) => id));
  return { chats: [...chats, ...more.filter(({ id }) => !known.has(id))], cursor };
}

function withChanges<C>(chat: ClientChat<C>, changes: UpdateBody<C> | null): ClientChat<C> {
  const { title = chat.title, archived, metadata } = changes ?? {};
  const archivedAt = archived === undefined ? chat.archivedAt : archived ? (chat.archivedAt ?? new Date()) : null;
  const changed: ClientChat<C> = { ...chat, title, archivedAt };
  if (metadata === null) delete changed.metadata;
  else if (metadata !== undefined) changed.metadata = metadata;
  return changed;
}
