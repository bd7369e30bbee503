import { type ChatStore, ChatStoreError, createChatStore } from "drizzle-chat-store";
import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import { type Entry, ends, endsIn, shapes } from "./hostile-bodies.ts";

/** What became of a body. */
export interface Outcome {
  shape: string;
  end: string;
  /** Of the error, or "done". */
  code: string;
  /** Of the error's message and stack, in characters. */
  length: number;
}

const [url, entry] = process.argv.slice(2) as [string, Entry];
const pool = new pg.Pool({ connectionString: url, max: 2 });
const store: ChatStore = createChatStore(drizzle(pool));
const ids = { userId: "u", chatId: entry };

const question = { id: "q", role: "user", parts: [{ type: "text", text: "?" }] };
const toolCall = { type: "tool-read", toolCallId: "t", input: {} };
const stored = [
  question,
  {
    id: "a",
    role: "assistant",
    parts: [
      { type: "text", text: "Let me see." },
      { ...toolCall, state: "input-available" },
      { ...toolCall, toolCallId: "t2", state: "approval-requested", approval: { id: "p" } },
    ],
  },
];
/** The stored answer as a browser sends it, with other properties of one of its parts. */
const answering = (at: number, properties: object) => ({
  ...stored[1],
  parts: stored[1]?.parts.map((part, index) => (index === at ? { ...part, ...properties } : part)),
});

// What arrives in a body does not keep to the types.
const save = (input: object) => store.upsertChat({ ...ids, messages: [], ...input } as never);
const ask = (input: object) => store.startTurn({ ...ids, tools: { read: {} }, ...input } as never);

/** What is asked of the store with a body in it. */
const calls: Record<Entry, (body: unknown) => (() => Promise<unknown>)[]> = {
  messages: (body) => [() => save({ messages: body })],
  "a message": (body) => [() => save({ messages: [body] }), () => ask({ message: body })],
  parts: (body) => [
    () => save({ messages: [{ ...question, parts: body }] }),
    () => ask({ message: { ...question, id: "new", parts: body } }),
  ],
  "a part": (body) => [() => save({ messages: [{ ...question, parts: [body] }] })],
  metadata: (body) => [() => save({ messages: [{ ...question, metadata: body }] })],
  "ids and title": (body) =>
    withTextIn(body).flatMap((body) => [
      ...["userId", "chatId", "title", "expectedVersion"].map((field) => () => save({ [field]: body })),
      ...["id", "role"].map((field) => () => save({ messages: [{ ...question, [field]: body }] })),
    ]),
  "a question": (body) => [() => ask({ message: { ...question, id: "new", parts: [body] } })],
  "a question's ids and title": (body) =>
    withTextIn(body).flatMap((body) => [
      ...["userId", "chatId", "trigger", "messageId", "title"].map(
        (field) => () => ask({ message: { ...question, id: "new" }, [field]: body }),
      ),
      ...["id", "role"].map((field) => () => ask({ message: { ...question, [field]: body } })),
    ]),
  "an edited question": (body) => [() => ask({ message: { ...question, parts: [body] } })],
  "a tool's output": (body) => [() => ask({ message: answering(1, { state: "output-available", output: body }) })],
  "a text sent again": (body) => [() => ask({ message: answering(0, { text: body }) })],
  "an approval": (body) => [
    () =>
      ask({
        message: answering(2, { state: "approval-responded", approval: { id: "p", approved: true, reason: body } }),
      }),
  ],
  "an answer": (body) => [
    async () => {
      const { persist } = await ask({ message: { ...question, id: "new" } });
      await persist.onEnd({ responseMessage: { id: "answer", role: "assistant", parts: [body] } as never });
    },
  ],
  "the input of reads": (body) => [
    () => store.getChat(body as never),
    () => store.getChat({ ...ids, chatId: body as never }),
    () => store.getChats({ ...ids, before: body as never }),
    () => store.getChats({ ...ids, before: { id: body, updatedAt: body } as never }),
  ],
};

/** A body, and the long text that it begins with, if it does. */
const withTextIn = (body: unknown) =>
  Array.isArray(body) && typeof body[0] === "string" && body[0] !== "" ? [body, body[0]] : [body];

for (const [shape, make] of Object.entries(shapes)) {
  for (const end of endsIn(entry)) {
    process.send?.({ shape, end });
    const body = make(ends[end]);
    const outcomes: Omit<Outcome, "shape" | "end">[] = [];
    for (const call of calls[entry](body)) {
      await pool.query("delete from chat_store.chats where id = $1", [entry]);
      await save({ messages: stored });
      outcomes.push(await outcomeOf(call()));
    }
    for (const outcome of outcomes) process.send?.({ shape, end, ...outcome } satisfies Outcome);
  }
}
await pool.end();
process.disconnect();

function outcomeOf(work: Promise<unknown>) {
  return work.then(
    () => ({ code: "done", length: 0 }),
    (error) => {
      if (!ChatStoreError.isInstance(error)) throw error;
      return { code: error.code, length: `${error.message}${error.stack}`.length };
    },
  );
}
