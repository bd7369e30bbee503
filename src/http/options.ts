import type { ModelMessage, UIMessage, UIMessageChunk } from "ai";
import type { Chat, ChatStore, Turn } from "../types.ts";
import type { StandardSchema } from "./standard-schema.ts";

type Awaitable<T> = T | Promise<T>;

/** What `answer` returns: the result of `streamText` or of an agent's `stream`, or a stream of UI message chunks. */
export type ChatAnswer =
  | { toUIMessageStream(): ReadableStream<UIMessageChunk> }
  | { readonly stream: ReadableStream<unknown>; readonly toUIMessageStream?: undefined }
  | ReadableStream<UIMessageChunk>;

/** What `answer` gets. */
export interface ChatAnswerContext<M extends UIMessage = UIMessage, C = unknown, Body = undefined> {
  /** The messages for the model. A message that the model cannot get any more is replaced by its text. */
  modelMessages: ModelMessage[];
  /** The same messages as they are stored. */
  messages: M[];
  /** The chat with the question. */
  chat: Chat<C>;
  /** For `streamText`: aborts when the user stops the answer, and when a later change supersedes it. */
  abortSignal: AbortSignal;
  userId: string;
  request: Request;
  /** What else the page has sent, as the option `body` has checked it. */
  body: Body;
  turn: Turn<M, C>;
}

/** Where an error occurred. */
export interface ChatErrorContext {
  method: string;
  /** The route under `basePath`, such as `/:id/stream`. */
  route: string;
}

export interface ChatHandlerOptions<M extends UIMessage = UIMessage, C = unknown, Body = undefined> {
  store: ChatStore<M, C>;
  /**
   * The signed-in user of a request, from your own session. `null` responds with 401. A `Response`, such as a 429 or a
   * redirect, is sent as it is.
   */
  userId: (request: Request) => Awaitable<string | null | undefined | Response>;
  /**
   * Asks the model. If it throws or returns nothing, the turn ends without an answer, the question stays, and the
   * response is a 500.
   */
  answer: (context: ChatAnswerContext<M, C, Body>) => Awaitable<ChatAnswer>;
  /** The path under which the handler is mounted, as it arrives in `request.url`. Default `"/api/chat"`. */
  basePath?: string | undefined;
  /** The tools that `streamText` gets. The page may send the output of tools without `execute`. */
  tools?: Readonly<Record<string, object>> | undefined;
  /** Give the model at most this many messages. Default all. */
  limit?: number | undefined;
  /** Checks a message of the user: a Standard Schema. By default, a message has text parts, and nothing else. */
  message?: StandardSchema<unknown> | undefined;
  /** Checks what else the page sends with a message: a Standard Schema. By default, nothing else is accepted. */
  body?: StandardSchema<Body> | undefined;
  /** Checks the metadata of a chat: a Standard Schema. By default, pages cannot set any. */
  metadata?: StandardSchema<C> | undefined;
  /**
   * The title of a new chat. By default, the question's text, cut. With a function, the chat gets that text first, and
   * the function's result replaces it while the user has not renamed the chat. `false`: no title.
   */
  title?: false | ((question: M, context: { userId: string }) => Awaitable<string>) | undefined;
  /** How many chats, messages or matches a response has if the page does not say it. Default 30. */
  pageSize?: number | undefined;
  /** The largest body of a request, in bytes. Default 1 MiB. */
  maxBodyBytes?: number | undefined;
  /** The origins of other sites whose pages may use the handler, such as `"https://app.example.com"`. Default none. */
  trustedOrigins?: readonly string[] | undefined;
  /** Gets the promises that have to outlive the response, for platforms that freeze the process then. */
  waitUntil?: ((promise: Promise<unknown>) => void) | undefined;
  /**
   * Gets each error that is a fault of the server, once. By default, `console.error`. The errors of the store contain no
   * chat content; those of `answer` are your own.
   */
  onError?: ((error: unknown, context: ChatErrorContext) => void) | undefined;
}

/** The options without the application's types, which the handler itself does not need. */
export type AnyOptions = ChatHandlerOptions<UIMessage, unknown, unknown>;

/** The options with their defaults. */
export interface HandlerSettings
  extends Omit<AnyOptions, "basePath" | "pageSize" | "maxBodyBytes" | "trustedOrigins" | "onError"> {
  /** Without a slash at its end, so that `"/"` is `""`. */
  basePath: string;
  pageSize: number;
  maxBodyBytes: number;
  trustedOrigins: readonly string[];
  onError: (error: unknown, context: ChatErrorContext) => void;
}

const isPositiveInteger = (value: unknown) => Number.isSafeInteger(value) && Number(value) >= 1;
const isFunction = (value: unknown) => typeof value === "function";
const isSchema = (value: unknown) => typeof Object(value)["~standard"]?.validate === "function";
const isOrigin = (value: unknown) =>
  typeof value === "string" && URL.canParse(value) && new URL(value).origin === value;

const positiveInteger = [isPositiveInteger, "a positive integer"] as const;
const aFunction = [isFunction, "a function"] as const;
const schema = [isSchema, "a Standard Schema, such as one of zod"] as const;

/** How each option is checked, and what is expected. */
const checks: Record<keyof ChatHandlerOptions, readonly [isValid: (value: unknown) => boolean, expected: string]> = {
  store: [(value) => isFunction(Object(value).startTurn), "what createChatStore returns"],
  userId: aFunction,
  answer: aFunction,
  basePath: [(value) => typeof value === "string" && value.startsWith("/"), "a path that begins with a slash"],
  tools: [(value) => typeof value === "object" && value !== null, "the tools of streamText, by name"],
  limit: positiveInteger,
  message: schema,
  body: schema,
  metadata: schema,
  title: [(value) => value === false || isFunction(value), "a function or false"],
  pageSize: positiveInteger,
  maxBodyBytes: positiveInteger,
  trustedOrigins: [
    (value) => Array.isArray(value) && value.every(isOrigin),
    "an array of origins, such as https://app.example.com",
  ],
  waitUntil: aFunction,
  onError: aFunction,
};

const required = ["store", "userId", "answer"];

/** @throws {TypeError} an option is missing, unknown or of another type. */
export function toSettings(options: AnyOptions): HandlerSettings {
  for (const name of new Set([...required, ...Object.keys(options)]) as Set<keyof AnyOptions>) {
    const value = options[name];
    const [isValid, expected] = checks[name] ?? [undefined, "no such option"];
    const isLeftOut = value === undefined && !required.includes(name);
    if (isValid && (isLeftOut || isValid(value))) continue;
    throw new TypeError(`createChatHandler: the option ${name} is not valid; expected ${expected}.`);
  }
  const {
    basePath = "/api/chat",
    pageSize = 30,
    maxBodyBytes = 1_048_576,
    trustedOrigins = [],
    onError = logError,
  } = options;
  return { ...options, basePath: basePath.replace(/\/+$/, ""), pageSize, maxBodyBytes, trustedOrigins, onError };
}

const logError = (error: unknown, { method, route }: ChatErrorContext): void =>
  console.error(`${method} ${route} of the chat handler failed:`, error);
