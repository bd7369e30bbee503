import type { UIMessage } from "ai";
import type { Chat } from "./chats.ts";

export interface StartTurnInput<M extends UIMessage = UIMessage> {
  /** The signed-in user, from your own session. */
  userId: string;
  chatId: string;
  /**
   * The title of a chat that this turn creates. You can pass the question's text: characters that a title cannot hold
   * are removed, white space becomes single spaces, and the text is cut to 1,000 characters.
   */
  title?: string | undefined;
  /**
   * The message that the browser sends: a new question, a stored one (edited, or to be answered again), or the last
   * assistant message with answers to its pending tool calls. You can pass it unchecked from the request's body.
   */
  message: M;
  /**
   * Give the model at most this many messages, including the question: the last ones, beginning with a message of the
   * user if one is among them. The chat keeps all of its messages. Without it, the model gets all of them.
   */
  limit?: number | undefined;
  /**
   * The kind of request, as the SDK's transport passes it to `prepareSendMessagesRequest`. It distinguishes a retry
   * from a regeneration. Without it, a stored question with the same parts is answered again, and one with other parts
   * is an edit.
   */
  trigger?: "submit-message" | "regenerate-message" | undefined;
  /** From the same place: with `"submit-message"`, the id of the stored question that is edited. */
  messageId?: string | undefined;
  /**
   * The tools that `streamText` gets. A browser may send the output of tools without `execute`; without this option, of
   * none. Approvals need no list, because only the server can have asked for them.
   */
  tools?: Readonly<Record<string, object>> | undefined;
}

export interface ResumeTurnInput {
  /** The signed-in user, from your own session. */
  userId: string;
  chatId: string;
  /**
   * The version of the chat that the page shows, from `getChat` or from the page's own last turn. It lets the server
   * skip an answer that the page already shows.
   */
  version?: number | undefined;
}

/** The stream of an answer: the body of a response. */
export interface AnswerStream extends ReadableStream<Uint8Array> {
  /**
   * The version of the chat before this answer is stored. A page that has read the answer to its end shows the next
   * version, if the answer is not empty and no other change came in between.
   */
  readonly version: number;
}

export interface StopTurnInput {
  /** The signed-in user, from your own session. */
  userId: string;
  chatId: string;
  /**
   * The id of the last message that the page shows. Then only turns that answer or write this message are asked to
   * stop. A request that arrives late also stops a later turn of the same message, if that was answered again or
   * continued in the meantime. Without it, all running turns of the chat are asked.
   */
  messageId?: string | undefined;
}

/** A turn whose question is stored and whose answer is yet to be generated. */
export interface Turn<M extends UIMessage = UIMessage, C = unknown> {
  /** The chat with the question. */
  chat: Chat<C>;
  /**
   * The messages for the model: the conversation up to and including the question, or at most `limit` messages of it.
   */
  messages: M[];
  /**
   * Spread it into `toUIMessageStream({ ... })` (ai 7) or `result.toUIMessageStreamResponse({ ... })` (ai 5 and 6). The
   * answer is then saved when the stream ends, however it ends. Without a stream, call
   * `persist.onEnd({ responseMessage })` yourself.
   */
  persist: {
    originalMessages: M[];
    /** Returns the answer's id, always the same: a random UUID, or the id of the message that is continued. */
    generateMessageId: () => string;
    /**
     * Saves the answer, once: a second call returns the first call's promise, or tries again if that has failed. An
     * empty answer (the provider failed, or the turn was stopped before the first token) is not stored, and the
     * previous answer stays.
     *
     * @throws {ChatConflictError} a later change has superseded this turn (reason `superseded`: a newer turn of the
     * same question, an edit of the question, the continuation of its answer, `fail`), or has deleted its chat or its
     * question (`gone`). Nothing was changed.
     */
    onEnd(event: { responseMessage: M }): Promise<void>;
    /** The same function, under its name in ai 5 and 6. */
    onFinish(event: { responseMessage: M }): Promise<void>;
  };
  /**
   * For `streamText`. Aborts after `stopTurn`, when a later change supersedes the turn, and when the chat, the question
   * or the answer is deleted: within a second if the turn is recorded, and otherwise never.
   */
  abortSignal: AbortSignal;
  /**
   * For `createUIMessageStreamResponse` (ai 7) or `toUIMessageStreamResponse` (ai 5 and 6). Reads the answer to its end
   * even if the browser disconnects, and records it for `resumeTurn`: four statements a second while the model streams,
   * one while it is silent. Never rejects: if recording fails, the answer is still saved at its end.
   */
  consumeSseStream(options: { stream: ReadableStream<string> }): Promise<void>;
  /**
   * Ends the turn at once without an answer, for a route that throws before the stream begins. The question stays,
   * pages stop waiting, `abortSignal` aborts, and `onEnd` rejects. It has no effect once the answer is stored.
   */
  fail(): Promise<void>;
}
