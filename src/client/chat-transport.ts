import { type ChatTransport, DefaultChatTransport, type UIMessage, type UIMessageChunk } from "ai";
import { versionHeader } from "../protocol.ts";
import type { ChatEvents } from "./chat-events.ts";
import { followAnswer } from "./follow-answer.ts";
import type { OwnChanges } from "./own-changes.ts";
import type { ReceivedAnswers } from "./received-answers.ts";
import { ChatRequestError } from "./request-error.ts";
import { type ChatClientOptions, fetchOk, urlOf } from "./send-request.ts";

export interface ChatTransportOptions {
  /**
   * The version of the chat that the page shows. With it, a transport is for one chat. An object, such as a React ref, is
   * kept up to date: `current` is the version after each answer.
   */
  version?: number | ShownVersion | undefined;
  /** What to send beside each message: the handler's option `body` checks it. */
  body?: object | (() => object | Promise<object>) | undefined;
}

/** The version of the chat that a page shows. */
export interface ShownVersion {
  /** Undefined while the chat has no message. */
  current: number | undefined;
}

/** What the transports of a client share. */
interface Shared {
  options: ChatClientOptions;
  answers: ReceivedAnswers;
  ownChanges: OwnChanges;
  /** The versions that pages show, by page: a chat, and the version with which the page was loaded. */
  shown: Map<string, ShownVersion>;
  events: ChatEvents;
}

/** One request for an answer, and the answer. */
interface Exchange {
  chatId: string;
  abortSignal?: AbortSignal | undefined;
  /** The last message that the page shows. Undefined if it resumes. */
  last?: UIMessage | undefined;
}

/**
 * A transport that sends the last message alone. When it resumes, it names the version of the chat that its page shows,
 * so that the server does not send the page's own last answer again.
 */
export function createChatTransport<M extends UIMessage>(
  { options, answers, ownChanges, shown, events }: Shared,
  { version: given, body }: ChatTransportOptions,
): ChatTransport<M> & { resumeStreamIsReplay: true } {
  const { basePath = "/api/chat", headers, credentials } = options;
  // A page of React makes a transport with each render, and useChat takes the newest one.
  function shownOf(chatId: string): ShownVersion {
    if (typeof given === "object") return given;
    const page = `${given} ${chatId}`;
    if (!shown.has(page)) shown.set(page, { current: given });
    return shown.get(page) as ShownVersion;
  }
  const versionOf = (chatId: string) => ownChanges.after(chatId, shownOf(chatId).current);
  const show = (chatId: string, version: number) => {
    shownOf(chatId).current = Math.max(version, versionOf(chatId) ?? 0);
  };

  async function receive(
    { chatId, abortSignal, last }: Exchange,
    request: (transport: DefaultChatTransport<M>) => ReturnType<ChatTransport<M>["reconnectToStream"]>,
  ) {
    // The SDK's signal aborts when the user leaves the page, too: it ends the request, and never the turn.
    const cut = new AbortController();
    if (abortSignal?.aborted) cut.abort(abortSignal.reason);
    abortSignal?.addEventListener("abort", () => cut.abort(abortSignal.reason), { once: true });
    let onEnd = () => {};
    const ended = new Promise<void>((resolve) => {
      onEnd = resolve;
    });
    const answer = { messageId: last?.id, cut: () => cut.abort(), ended };
    answers.add(chatId, answer);

    let versionBefore: number | undefined;
    const transport = new DefaultChatTransport<M>({
      api: urlOf(basePath, {}),
      ...(headers && { headers }),
      ...(credentials && { credentials }),
      ...(body && { body }),
      fetch: async (url, init) => {
        const response = await fetchOk(options.fetch ?? globalThis.fetch, url, { ...init, signal: cut.signal });
        expectStream(response, !last);
        const version = response.headers.get(versionHeader);
        if (version !== null) versionBefore = Number(version);
        return response;
      },
      prepareSendMessagesRequest: ({ id, messages, trigger, messageId, body }) => ({
        body: { ...body, id, message: messageOf(messages, trigger, messageId), trigger, messageId },
      }),
      prepareReconnectToStreamRequest: ({ id }) => ({
        api: urlOf(basePath, { path: [id, "stream"], query: { version: versionOf(id) } }),
      }),
    });

    try {
      const stream = await request(transport);
      if (!stream) {
        onEnd();
        return null;
      }
      if (last) {
        if (versionBefore !== undefined) show(chatId, versionBefore);
        events.publish({ type: "turn", chatId });
      }
      void ended.then(() => events.publish({ type: "turn", chatId, hasEnded: true }));
      return followAnswer(
        stream,
        { signal: cut.signal, isOwnMessage: last?.role === "user" },
        {
          onMessageId: (id) => {
            answer.messageId = id;
          },
          onComplete: ({ isShown }) => {
            if (versionBefore !== undefined && isShown) show(chatId, ownChanges.after(chatId, versionBefore) + 1);
          },
          onEnd,
        },
      );
    } catch (error) {
      onEnd();
      throw error;
    }
  }

  return {
    resumeStreamIsReplay: true,

    async sendMessages(request) {
      const { chatId, messages, trigger } = request;
      // The first question makes the first version: if its response is lost, a resume brings the answer.
      if (trigger === "submit-message" && messages.length === 1 && versionOf(chatId) === undefined) show(chatId, 1);
      const exchange = { ...request, last: messages.at(-1) };
      const stream = await receive(exchange, (transport) => transport.sendMessages(request));
      return stream as ReadableStream<UIMessageChunk>;
    },

    reconnectToStream: (request) => receive(request, (transport) => transport.reconnectToStream(request)),
  };
}

/**
 * The message that a request is about: the edited one, or the one with answered tool calls, which may not be the last; or
 * else the last one.
 */
function messageOf<M extends UIMessage>(messages: M[], trigger: string, messageId: string | undefined): M | undefined {
  const named = trigger === "submit-message" && messages.find(({ id }) => id === messageId);
  return named || messages.at(-1);
}

/** A login page, say, is no stream either, and the SDK would take it for an empty one. */
function expectStream({ status, headers }: Response, mayBeEmpty: boolean): void {
  if ((status === 204 && mayBeEmpty) || headers.get("content-type")?.startsWith("text/event-stream")) return;
  throw new ChatRequestError({ code: "failed", status }, "The response is not a stream of the chat handler.");
}
