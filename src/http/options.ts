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

const knownOptions: Record<keyof ChatHandlerOptions, true> = {
  store: true,
  userId: true,
  answer: true,
  basePath: true,
  tools: true,
  limit: true,
  message: true,
  body: true,
  metadata: true,
  title: true,
  pageSize: true,
  maxBodyBytes: true,
  trustedOrigins: true,
  waitUntil: true,
  onError: true,
};

const logError = (error: unknown, { method, route }: ChatErrorContext): void =>
  console.error(`${method} ${route} of the chat handler failed:`, error);

/** @throws {TypeError} an option is missing, unknown or of another type. */
export function toSettings(options: AnyOptions): HandlerSettings {
  const unknown = Object.keys(options).find((name) => !Object.hasOwn(knownOptions, name));
  if (unknown !== undefined) throw new TypeError(`createChatHandler has no option ${JSON.stringify(unknown)}.`);
  const {
    basePath = "/api/chat",
    pageSize = 30,
    maxBodyBytes = 1_048_576,
    trustedOrigins = [],
    onError = logError,
  } = options;

  expectOption("store", typeof options.store?.startTurn === "function", "what createChatStore returns");
  expectOption("basePath", typeof basePath === "string" && basePath.startsWith("/"), "a path that begins with a slash");
  for (const name of ["userId", "answer"] as const) {
    expectOption(name, typeof options[name] === "function", "a function");
  }
  for (const name of ["waitUntil", "onError"] as const) {
    expectOption(name, options[name] === undefined || typeof options[name] === "function", "a function");
  }
  for (const name of ["message", "body", "metadata"] as const) {
    const schema = options[name];
    // Some schemas are functions.
    const isSchema = schema === undefined || typeof schema?.["~standard"]?.validate === "function";
    expectOption(name, isSchema, "a Standard Schema, such as one of zod");
  }
  const { limit = 1, tools = {} } = options;
  expectOption("tools", typeof tools === "object" && tools !== null, "the tools that streamText gets, by name");
  for (const [name, value] of Object.entries({ pageSize, maxBodyBytes, limit })) {
    expectOption(name, Number.isSafeInteger(value) && value >= 1, "a positive integer");
  }
  const { title } = options;
  expectOption("title", title === undefined || title === false || typeof title === "function", "a function or false");
  const isOrigin = (origin: string) => URL.canParse(origin) && new URL(origin).origin === origin;
  const areOrigins = Array.isArray(trustedOrigins) && trustedOrigins.every(isOrigin);
  expectOption("trustedOrigins", areOrigins, "an array of origins, such as https://app.example.com");

  return { ...options, basePath: basePath.replace(/\/+$/, ""), pageSize, maxBodyBytes, trustedOrigins, onError };
}

function expectOption(name: string, isValid: boolean, expected: string): void {
  if (!isValid) throw new TypeError(`createChatHandler's option ${name} is not valid; expected ${expected}.`);
}
