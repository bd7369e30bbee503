import { Chat } from "@ai-sdk/react";
import type { ChatTransport, UIMessage, UIMessageChunk } from "ai";
import type { ChatClient, ChatEvent } from "../client.ts";
import { aborted, beginStream, discard, leave } from "./answer-streams.ts";
import { coalesce, share, shareThen } from "./coalesce.ts";
import { loadMessages } from "./load-messages.ts";
import { mergeMessages } from "./merge-messages.ts";
import { newestVersions } from "./newest-versions.ts";
import { createObservable } from "./observable.ts";
import { createRetry } from "./retry.ts";
import { createToolCalls } from "./tool-calls.ts";
import type { StoredChat, StoredChatError, StoredChatOptions, StoredChatPage, StoredChatState } from "./types.ts";
import { isStored, toUnsent, type Unsent } from "./unsent.ts";

export function createStoredChat<M extends UIMessage, C>(
  client: ChatClient<M, C>,
  firstOptions: StoredChatOptions<M, C>,
): StoredChat<M, C> {
  const { id, page: firstPage, pageSize = 30, body: _, ...chatInit } = firstOptions;
  let options = firstOptions;
  let isConnected = false;
  let hasMissedEvents = false;
  /** The page has not shown the stored messages yet: they may come in front of a question. */
  let isFirst = firstOptions.page === undefined;
  /** A change has come while an answer was arriving. */
  let isOutdated = false;
  /** Another tab has asked. */
  let hasOtherTurn = false;
  /** What the page is receiving. Undefined also while it looks for an answer to join. */
  let receiving: "own answer" | "joined answer" | undefined;
  /** What has not reached the server, as far as the page knows. */
  let unsent: Unsent<M> | undefined;
  /** Why the latest answer was lost. */
  let lost: StoredChatError | undefined;
  /** The page's own requests for an answer: whether one is under way, has no response yet, and how many there were. */
  let isAsking = false;
  let isSending = false;
  let requestCount = 0;
  /** The latest look for an answer to join, with the answer that it found, until the page shows what is stored. */
  let joining: Promise<void> | undefined;

  /** Numbers of loads: what was asked for earlier, and arrives later, is out of date. */
  let asked = 0;
  let arrived = 0;

  const version = { current: firstPage?.chat.version };
  const newest = newestVersions(client);
  const toolCalls = createToolCalls<M>();
  const retry = createRetry(() => void synchronize());
  const state = createObservable<StoredChatState<C>>({
    chat: firstPage?.chat ?? null,
    loadStatus: firstPage === undefined ? "loading" : "loaded",
    loadError: undefined,
    hasMore: firstPage?.hasMore ?? false,
    isLoadingOlder: false,
    sentAt: timesOf(firstPage),
    branches: firstPage?.branches ?? [],
    isReconnecting: false,
    isResumable: Boolean(firstPage),
  });

  const transport = client.transport({
    version,
    body: async () => (typeof options.body === "function" ? options.body() : (options.body ?? {})),
  });

  const chat: Chat<M> = new Chat<M>({
    ...chatInit,
    id,
    messages: firstPage?.messages ?? [],
    transport: { resumeStreamIsReplay: true, sendMessages, reconnectToStream } as ChatTransport<M>,
    onData: (part) => options.onData?.(part),
    sendAutomaticallyWhen: (given) => options.sendAutomaticallyWhen?.(given) ?? false,
    onToolCall(given) {
      const { toolCallId } = given.toolCall;
      if (toolCalls.isNew(toolCallId)) return options.onToolCall?.(given);
      const output = toolCalls.outputOf(toolCallId);
      // Not awaited: the SDK adds an output when it has handled the call.
      if (output) void chat.addToolOutput(output);
    },
    onError(error) {
      if (isLost(error)) joinLater(error);
      else if (isConflict(error)) isOutdated = true;
      try {
        options.onError?.(error);
      } catch (thrown) {
        // To the SDK, the answer would be arriving for ever.
        console.error(thrown);
      }
    },
    onFinish(given) {
      isAsking = false;
      // Another tab has continued the answer: what this page has answered to tools is of no use any more.
      if (unsent?.kind === "tool answers" && isConflict(chat.error)) {
        unsent = undefined;
        isOutdated = true;
        chat.clearError();
      }
      newest.see(id, version.current);
      const received = receiving;
      receiving = undefined;
      // A lost answer is joined later.
      if (!isLost(chat.error)) {
        if (isOutdated || received === "joined answer") void synchronize();
        else if (received === "own answer" && !given.isError) void updateDetails();
      }
      options.onFinish?.(given);
    },
  });

  // ai 5 is busy also while it looks for an answer, and tells of no end if there is none.
  const { resumeStream } = chat;
  chat.resumeStream = (given) => {
    joining = resumeStream(given).then(() => (isOutdated && !isLost(chat.error) ? synchronize() : undefined));
    return joining;
  };

  /** The SDK keeps the half answer to continue it, and with ai 5 would put the joined answer, from its beginning, behind it. */
  function joinLater(error: StoredChatError): void {
    Reflect.set(chat, "resumableStreamState", undefined);
    lost = error;
    state.set({ isReconnecting: true });
    if (isConnected) retry.plan(error.retryAfter);
  }

  function stopReconnecting(): void {
    retry.cancel();
    if (state.get().isReconnecting) state.set({ isReconnecting: false });
  }

  const isBusy = () => chat.status === "submitted" || chat.status === "streaming";
  const lastMessage = () => chat.messages.at(-1);
  const unsentQuestion = () => (unsent?.kind === "tool answers" ? undefined : unsent?.message);

  async function sendMessages(request: Parameters<ChatTransport<M>["sendMessages"]>[0]) {
    const shownVersion = version.current ?? 0;
    stopReconnecting();
    hasOtherTurn = false;
    unsent = toUnsent(request);
    if (unsent?.kind !== "tool answers") toolCalls.clear();
    isAsking = true;
    isSending = true;
    receiving = "own answer";
    requestCount += 1;
    const stream = await transport.sendMessages(request).finally(() => {
      isSending = false;
    });
    // Its old words, with what followed, are an alternative now.
    if (unsent?.kind === "edited question") void updateDetails();
    unsent = undefined;
    retry.reset();
    // A question makes one version. With more, the page does not show what another device has changed.
    isOutdated ||= (version.current ?? 0) > shownVersion + 1;
    return isConnected ? stream : leave(stream);
  }

  async function reconnectToStream(request: ResumeRequest) {
    const countBefore = requestCount;
    const wasReconnecting = state.get().isReconnecting;
    let joined: ReadableStream<UIMessageChunk> | null = null;
    let failure: StoredChatError | undefined;
    try {
      if (!isAsking) joined = await openAnswer(request);
    } catch (error) {
      failure = error as StoredChatError;
    }
    if (isAsking || requestCount !== countBefore) {
      // Whatever the SDK got now, it would show in place of the page's own request: as its end, or as its error.
      discard(joined);
      await aborted(request.abortSignal);
      return null;
    }
    // To the SDK, a lost connection is an answer to join later, and an abort is none. Others are no error of an answer.
    if (failure && (isLost(failure) || request.abortSignal?.aborted)) throw failure;
    if (failure) {
      keepError(failure);
      // As it was: to the SDK, the answer is still lost.
      if (wasReconnecting && failure.isRetryable) throw lost;
      stopReconnecting();
    }
    return joined;
  }

  /** Opens the answer that is being generated, from its beginning, behind the messages that are stored. */
  async function openAnswer(request: ResumeRequest): Promise<ReadableStream<UIMessageChunk> | null> {
    for (;;) {
      const shownVersion = version.current;
      const opened = await transport.reconnectToStream(request);
      stopReconnecting();
      retry.reset();
      if (!opened) return null;
      if (!isConnected) return leave(opened);
      // The answer on the page goes when the first words of the joined one are there.
      const { stream, messageId } =
        lastMessage()?.role === "assistant" ? await beginStream(opened) : { stream: opened };
      try {
        await refresh();
      } catch (error) {
        discard(stream);
        throw error;
      }
      if (version.current === shownVersion) {
        const last = lastMessage();
        // It is being generated again.
        if (messageId && last?.role === "assistant" && last.id !== messageId)
          chat.messages = chat.messages.slice(0, -1);
        receiving = "joined answer";
        return stream;
      }
      // The page has missed something, by now perhaps the end of this answer.
      discard(stream);
    }
  }

  /** Shows the messages as they are stored, but never while an answer arrives. Rejects if they cannot be loaded. */
  async function refresh(): Promise<void> {
    for (;;) {
      const shownVersion = version.current;
      const shownIds = chat.messages.map(({ id }) => id);
      // After a missed change, an older message may be another one although the version is the same: this client has made it.
      const known = isOutdated ? undefined : shownVersion;
      asked += 1;
      const number = asked;
      const page = await loadMessages<M, C>({ client, chatId: id, pageSize, shownIds, version: known });
      if (isBusy()) {
        isOutdated = true;
        return;
      }
      // Otherwise the page has got an answer meanwhile, which is newer.
      if (version.current !== shownVersion || number < arrived) continue;
      isOutdated = false;
      arrived = number;
      if (page) show(page);
      else if (state.get().chat || state.get().loadStatus === "loading") showMissing();
      return;
    }
  }

  function show(page: StoredChatPage<M, C>): void {
    if (isStored(unsent, page.messages)) unsent = undefined;
    const merged = mergeMessages(chat.messages, page, { unsent: unsentQuestion(), isFirst });
    isFirst = false;
    const [oldest] = merged;
    const olderOnServer = page.messages.findIndex(({ id }) => id === oldest?.id);
    if (merged.length !== chat.messages.length || merged.some((message, index) => message !== chat.messages[index])) {
      chat.messages = merged;
    }
    version.current = page.chat.version;
    newest.see(id, version.current);
    state.set({
      chat: page.chat,
      loadStatus: "loaded",
      loadError: undefined,
      hasMore: olderOnServer > 0 || (oldest && olderOnServer === -1 ? state.get().hasMore : page.hasMore),
      sentAt: new Map([...state.get().sentAt, ...timesOf(page)]),
      branches: page.branches ?? [],
    });
  }

  function showMissing(): void {
    if (isBusy()) void chat.stop();
    const question = unsentQuestion();
    chat.messages = question ? [question] : [];
    version.current = undefined;
    const nothing = { hasMore: false, sentAt: new Map(), branches: [] };
    state.set({ chat: null, loadStatus: "missing", loadError: undefined, ...nothing });
  }

  /** The page keeps what it shows. */
  const keepError = (error: StoredChatError) => state.set({ loadError: error });

  const load = share(async () => {
    try {
      await refresh();
      if (state.get().chat) state.set({ isResumable: true });
    } catch (error) {
      state.set({ loadStatus: "failed", loadError: error as StoredChatError });
    }
  });

  /** Shows what other tabs, devices and the server have changed, and joins the answer that is being generated. */
  const synchronize = coalesce(async () => {
    if (!isConnected) return;
    if (isBusy()) {
      isOutdated = true;
      return;
    }
    try {
      await refresh();
    } catch (error) {
      const { isRetryable, retryAfter } = error as StoredChatError;
      keepError(error as StoredChatError);
      // Until the page is visible again, by then perhaps of a user who has signed in.
      if (isRetryable === false) stopReconnecting();
      else if (isLost(chat.error)) retry.plan(retryAfter);
      return;
    }
    if (isBusy()) return;
    // There is no answer to join.
    if (!state.get().chat || unsentQuestion()) return stopReconnecting();
    // The outputs of the page's tools: nothing else would send them again.
    if (unsent?.kind === "tool answers" && isLost(chat.error)) void chat.sendMessage();
    // An error of the last answer stays on the page, unless another tab has asked again.
    else if (!unsent && (chat.status === "ready" || isLost(chat.error) || hasOtherTurn)) join();
  });

  function join(): void {
    hasOtherTurn = false;
    const last = lastMessage();
    const isHalf = (part: object) => "state" in part && part.state === "input-streaming";
    // ai 5, which has no approvals, would continue this message, too.
    if (!Reflect.has(chat, "addToolApprovalResponse") && isLost(chat.error) && last?.parts.some(isHalf)) {
      chat.messages = [...chat.messages.slice(0, -1), { ...last, parts: last.parts.filter((part) => !isHalf(part)) }];
    }
    void chat.resumeStream();
  }

  const onOlderLoaded = () => state.set({ isLoadingOlder: false });
  const loadOlder = shareThen(onOlderLoaded, async () => {
    const oldest = chat.messages[0]?.id;
    if (oldest === undefined || !state.get().hasMore) return;
    state.set({ isLoadingOlder: true });
    try {
      const older = await client.get(id, { limit: options.pageSize ?? pageSize, before: oldest });
      if (!older) return await synchronize();
      if (chat.messages[0]?.id !== oldest) return;
      chat.messages = [...older.messages, ...chat.messages];
      const sentAt = new Map([...timesOf(older), ...state.get().sentAt]);
      state.set({ hasMore: older.hasMore, loadError: undefined, sentAt });
    } catch (error) {
      // The oldest message on the page was deleted. Until it is gone from the page, the next request would fail the same way.
      if (isConflict(error as StoredChatError)) await synchronize();
      else keepError(error as StoredChatError);
    }
  });

  /** Title, times, alternatives and version, which a turn changes. */
  async function updateDetails(): Promise<void> {
    if (!isConnected) return;
    const shownVersion = version.current;
    asked += 1;
    const number = asked;
    const latest = await client.get(id, { limit: 2 }).catch(() => null);
    if (!latest || number < arrived) return;
    arrived = number;
    const sentAt = new Map([...state.get().sentAt, ...timesOf(latest)]);
    state.set({ chat: latest.chat, loadStatus: "loaded", sentAt, branches: latest.branches ?? [] });
    if (version.current === shownVersion && latest.chat.version !== shownVersion) await synchronize();
  }

  function onEvent(event: ChatEvent): void {
    if (!("chatId" in event)) {
      // Visible or online again.
      void (state.get().loadStatus === "failed" ? load() : synchronize());
    } else if (event.chatId !== id || event.type === "forked") {
      return;
    } else if (event.type === "deleted") {
      showMissing();
    } else if (event.type !== "turn" || !event.isOwn) {
      // An end may be that of the page's own answer, which the other tab shows, too.
      hasOtherTurn ||= event.type === "turn" && !event.hasEnded;
      void synchronize();
    } else if (!isBusy() || !state.get().chat) {
      void updateDetails();
    }
  }

  return {
    id,
    client,
    chat,
    state,

    setOptions(latest) {
      const { page } = latest;
      // The same page in another object is no news, such as of a chat that was deleted since.
      const knownVersion = Math.max(version.current ?? 0, options.page?.chat.version ?? 0);
      const isNews = page && page !== options.page && page.chat.version > knownVersion;
      options = latest;
      if (!isNews) return;
      if (isBusy()) isOutdated = true;
      else show(page);
    },

    connect() {
      isConnected = true;
      const unsubscribe = client.subscribe(onEvent);
      if (state.get().loadStatus === "loading") void load();
      else if (hasMissedEvents || newest.of(id) > (version.current ?? 0)) void synchronize();
      hasMissedEvents = false;
      return () => {
        isConnected = false;
        unsubscribe();
        queueMicrotask(() => {
          // React's strict mode and fast refresh connect again at once.
          if (isConnected) return;
          hasMissedEvents = true;
          retry.cancel();
          // A question that is on its way gets there first.
          if (!isSending) void chat.stop();
        });
      };
    },

    reload() {
      if (state.get().loadStatus === "loaded") return synchronize();
      state.set({ loadStatus: "loading", loadError: undefined });
      return load();
    },

    loadOlder,

    stop: () => client.stop(id),

    async switchBranch(branchId) {
      try {
        await client.switchBranch(id, branchId);
        // Also if there is no such branch any more: then another tab has changed the chat.
        await synchronize();
        if (isOutdated && !isAsking) await joining;
      } catch (error) {
        keepError(error as StoredChatError);
      }
    },

    addToolOutput(output) {
      toolCalls.add(output);
      return chat.addToolOutput(output);
    },
  };
}

type ResumeRequest = Parameters<ChatTransport<UIMessage>["reconnectToStream"]>[0];

/** The connection broke, or a proxy had no server: the answer goes on without this page. */
const isLost = (error: StoredChatError | undefined): boolean =>
  error?.code === "network" || [502, 503, 504].includes(error?.status ?? 0);

const isConflict = (error: StoredChatError | undefined): boolean => error?.code === "conflict";

const timesOf = (page: Pick<StoredChatPage, "messages" | "sentAt"> | null | undefined) =>
  new Map(page?.messages.map(({ id }, index) => [id, page.sentAt[index] as Date]));
