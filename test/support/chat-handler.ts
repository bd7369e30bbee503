import type { UIMessage } from "ai";
import { afterAll, beforeAll, expect } from "vitest";
import {
  type ChatErrorCode,
  type ChatErrorContext,
  type ChatHandlerOptions,
  createChatHandler,
} from "../../src/handler.ts";
import { type ChatStore, type ChatStoreOptions, createChatStore } from "../../src/index.ts";
import { statusOf } from "../../src/protocol.ts";
import { nodePostgres, openWith, type TestDatabase } from "./databases.ts";
import { snapshot } from "./snapshot.ts";

/** A database with a store on it for the tests of a file. */
export function openTestStore(options?: ChatStoreOptions) {
  let database: TestDatabase;
  let store: ChatStore;
  beforeAll(async () => {
    database = await openWith(nodePostgres);
    store = createChatStore(database.db, options);
  });
  afterAll(() => database.close());
  return {
    get database() {
      return database;
    },
    get store() {
      return store;
    },
    /** Checks that the work writes no row at all. */
    async expectUnchanged<T>(work: () => Promise<T>): Promise<T> {
      const before = await snapshot(database);
      const result = await work();
      expect(await snapshot(database)).toEqual(before);
      return result;
    },
  };
}

export type HandlerError = ChatErrorContext & { error: unknown };

/** A handler that answers "Hello." unless the options say otherwise. `errors`: the calls of `onError`. */
export function createHandler<Body = undefined>(
  store: ChatStore,
  options?: Partial<ChatHandlerOptions<UIMessage, unknown, Body>>,
) {
  const errors: HandlerError[] = [];
  const chat = createChatHandler<UIMessage, unknown, Body>({
    store,
    userId: (request) => request.headers.get("x-user-id"),
    answer: () => ReadableStream.from(textChunks("Hello.")),
    onError: (error, where) => void errors.push({ error, ...where }),
    ...options,
  });
  return { chat, errors };
}

/** The chunks of an answer of one text. */
export const textChunks = (text: string, start: object = {}) =>
  [
    { type: "start", ...start },
    { type: "start-step" },
    { type: "text-start", id: "1" },
    { type: "text-delta", id: "1", delta: text },
    { type: "text-end", id: "1" },
    { type: "finish-step" },
    { type: "finish" },
  ] as never[];

export interface RequestOptions {
  /** Null: not signed in. */
  userId?: string | null;
  /** Sent as JSON, unless it is a string, bytes or a stream. */
  body?: unknown;
  headers?: Record<string, string>;
}

/** A request under `/api/chat`. */
export function requestTo(
  method: string,
  path: string,
  { userId = "u", body, headers = {} }: RequestOptions = {},
): Request {
  const isRaw = typeof body === "string" || body instanceof Uint8Array || body instanceof ReadableStream;
  return new Request(`http://localhost/api/chat${path}`, {
    method,
    headers: {
      ...(userId !== null && { "x-user-id": userId }),
      ...(body !== undefined && { "content-type": "application/json" }),
      ...headers,
    },
    ...(body !== undefined && { body: isRaw ? body : JSON.stringify(body) }),
    ...({ duplex: "half" } as object),
  });
}

/** The message of a user. */
export const question = (text: string, id = "q") => ({ id, role: "user" as const, parts: [{ type: "text", text }] });

/** Checks that the response is this error in every respect, and returns its message. */
export async function expectError(response: Response, code: ChatErrorCode): Promise<string> {
  const text = await response.text();
  expect({ status: response.status, text }).toEqual({ status: statusOf[code], text: expect.any(String) });
  expect(response.headers.get("content-type")).toBe("application/json");
  expect(response.headers.get("cache-control")).toBe("no-store");
  expect(JSON.parse(text)).toEqual({ error: { code, message: expect.stringMatching(/^[^\0]+$/) } });
  return JSON.parse(text).error.message;
}

/** The whole response, to compare it byte for byte with another. */
export const wholeOf = async (response: Response) => ({
  status: response.status,
  headers: Object.fromEntries(response.headers),
  text: await response.text(),
});

type Chunk = { type: string; [key: string]: unknown };

/** The chunks of a stream's response. */
export async function chunksOf(response: Response): Promise<Chunk[]> {
  const text = await response.text();
  expect({ status: response.status, text }).toEqual({ status: 200, text: expect.any(String) });
  const events = text.split("\n\n").filter((event) => event.startsWith("data: "));
  expect(events.pop()).toBe("data: [DONE]");
  return events.map((event) => JSON.parse(event.slice("data: ".length)));
}

/** The text of a stream's response. */
export const textIn = (chunks: readonly Chunk[]) =>
  chunks.flatMap(({ type, delta }) => (type === "text-delta" ? [delta] : [])).join("");
