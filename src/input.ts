import { z } from "zod/v4";
import { toTitle } from "./title.ts";

const integerMax = 2_147_483_647;

const userId = id("the id of the signed-in user, from the session");
const chatId = id("the id of the chat");
const title = text({ min: 0, max: 1_000, hint: "omit it to keep the stored title" }).optional();
const version = positiveInteger(integerMax, "the version of the chat that you loaded");

const message = z.object(
  {
    id: id("pass generateMessageId to toUIMessageStream, or no answer has an id"),
    role: text({ min: 1, max: 255, hint: '"user", "assistant" or "system"' }),
    // The contents of parts are not checked, so that parts of newer SDKs are stored, too.
    parts: z.custom<unknown[]>(Array.isArray, { error: ({ input }) => `expected an array, found ${describe(input)}` }),
    metadata: z.unknown().optional(),
  },
  { error: ({ input }) => `expected a UIMessage object, found ${describe(input)}` },
);

const messages = z.unknown().transform((input, context) => {
  if (!Array.isArray(input)) {
    context.addIssue({ code: "custom", message: `expected the array of all messages, found ${describe(input)}` });
    return z.NEVER;
  }
  const indexOf = new Map<string, number>();
  const checked: z.infer<typeof message>[] = [];
  // z.array would collect the issues of all elements, which may be a million.
  for (const [index, element] of input.entries()) {
    const { data, error } = message.safeParse(element);
    for (const issue of error?.issues ?? []) {
      context.addIssue({ code: "custom", path: [index, ...issue.path], message: issue.message });
    }
    if (context.issues.length >= 20) break;
    if (!data) continue;
    const first = indexOf.get(data.id);
    if (first === undefined) indexOf.set(data.id, index);
    else {
      context.addIssue({
        code: "custom",
        path: [index, "id"],
        message:
          `expected ids that are unique within the chat, found the id of messages[${first}] again. The messages were ` +
          "spliced wrongly: a message with a known id replaces that message and all after it",
      });
    }
    checked.push(data);
  }
  return checked;
});

export const upsertChatInput = object({
  userId,
  chatId,
  title,
  messages,
  after: id("the id of the message before the given ones").optional(),
  expectedVersion: version.optional(),
});

export const chatInput = object({ userId, chatId });

const optionalBoolean = z
  .boolean({ error: ({ input }) => `expected true, false or undefined, found ${describe(input)}` })
  .optional();

export const updateChatInput = object({
  userId,
  chatId,
  title,
  titleIfEmpty: title,
  expectedTitle: text({ min: 0, max: 1_000, hint: "the title to replace" }).optional(),
  archived: optionalBoolean,
  metadata: z.unknown().optional(),
}).superRefine(({ title, titleIfEmpty, expectedTitle, archived, metadata }, context) => {
  if (title !== undefined && titleIfEmpty !== undefined) {
    const message = "expected either title or titleIfEmpty, found both. titleIfEmpty keeps a title that is not empty";
    context.addIssue({ code: "custom", path: ["titleIfEmpty"], message });
  }
  if (title === undefined && expectedTitle !== undefined) {
    const message = "expected a title as well, which replaces the expected one; found none";
    context.addIssue({ code: "custom", path: ["expectedTitle"], message });
  } else if ([title, titleIfEmpty, archived, metadata].every((value) => value === undefined)) {
    const message = "expected at least one of title, titleIfEmpty, archived, metadata; found none";
    context.addIssue({ code: "custom", path: [], message });
  }
});

export const forkChatInput = object({
  userId,
  chatId,
  newChatId: id("the id of the new chat"),
  throughMessageId: id("the id of the last message to copy; omit it to copy all").optional(),
  title,
});

export const updateMessageInput = object({ userId, chatId, message, expectedVersion: version.optional() });

export const deleteMessageInput = object({
  userId,
  chatId,
  messageId: id("the id of a message"),
  following: optionalBoolean,
  expectedVersion: version.optional(),
});

export const switchBranchInput = object({
  userId,
  chatId,
  branchId: id("the id of a branch, as getBranches gives it"),
  expectedVersion: version.optional(),
});

export const getMessagesInput = object({
  userId,
  chatId,
  limit: positiveInteger(Number.MAX_SAFE_INTEGER, "the maximum number of messages to return"),
  before: id("the id of the first message of the following page").optional(),
});

export const searchChatsInput = object({
  userId,
  query: text({ min: 1, max: 255, hint: "the text to search for" }),
  limit: positiveInteger(Number.MAX_SAFE_INTEGER, "the maximum number of matches to return").optional(),
  cursor: z
    .string({ error: ({ input }) => `expected the cursor of the previous page, found ${describe(input)}` })
    .optional(),
});

export const claimChatsInput = object({
  fromUserId: id("the id of the user who owns the chats now"),
  userId,
});

export const userInput = object({ userId });

export const getChatsInput = object({
  userId,
  archived: optionalBoolean,
  limit: positiveInteger(
    Number.MAX_SAFE_INTEGER,
    "the maximum number of chats to return; omit it to return all",
  ).optional(),
  before: z
    .object(
      {
        id: chatId,
        updatedAt: z
          .date({ error: ({ input }) => `expected the chat's updatedAt, a valid Date, found ${describe(input)}` })
          .refine((date) => date.getUTCFullYear() >= 1 && date.getUTCFullYear() <= 9999, {
            error: "expected the chat's updatedAt, found a year outside 1 to 9999",
          })
          // Copied, because the caller may change the Date, and a subclass may format it differently.
          .transform((date) => new Date(date.getTime())),
      },
      { error: ({ input }) => `expected the last chat of the previous page, found ${describe(input)}` },
    )
    .optional(),
});

export const startTurnInput = object({
  userId,
  chatId,
  // Cleaned instead of refused, because it is usually the beginning of a question, with any characters.
  title: z
    .string({ error: ({ input }) => `expected a string, found ${describe(input)}` })
    .transform((title) => toTitle(title.slice(0, 1_000).replace(/[\uD800-\uDBFF]$/, "")))
    .optional(),
  message,
  limit: positiveInteger(
    Number.MAX_SAFE_INTEGER,
    "the maximum number of messages for the model; omit it to pass all",
  ).optional(),
  trigger: z
    .enum(["submit-message", "regenerate-message"], {
      error: ({ input }) =>
        `expected "submit-message" or "regenerate-message", as the SDK's transport sends it, found ${describe(input)}`,
    })
    .optional(),
  messageId: id("as the SDK's transport sends it").optional(),
  /** The names of the tools that run in the browser. */
  tools: z
    .custom<Record<string, object>>((value) => typeof value === "object" && value !== null, {
      error: ({ input }) => `expected the tools that you pass to streamText, by name, found ${describe(input)}`,
    })
    .optional()
    .transform((tools) => new Set(clientToolsIn(tools ?? {}))),
});

export const resumeTurnInput = object({ userId, chatId, version: version.optional() });

export const stopTurnInput = object({ userId, chatId, messageId: id("the id of a message").optional() });

const clientToolsIn = (tools: Record<string, object>) =>
  Object.entries(tools)
    .filter(([, tool]) => !("execute" in tool && typeof tool.execute === "function"))
    .map(([name]) => name);

const schema = text({ min: 1, max: 63, hint: "the name of a Postgres schema" })
  .refine((name) => name.length > 63 || Buffer.byteLength(name) <= 63, {
    error: ({ input }) =>
      `expected at most 63 bytes, because Postgres ignores the rest of a longer name, found ${describe(input)}`,
  })
  .refine((name) => name !== "public" && !name.startsWith("pg_") && name !== "information_schema", {
    error: "expected a schema for these tables only, found one of the application or of Postgres",
  })
  .optional();
export const chatStoreOptions = object({
  schema,
  portable: optionalBoolean,
  rowLevelSecurity: optionalBoolean,
  prepare: optionalBoolean,
  branches: optionalBoolean,
});

export const migrateOptions = object({ schema });

/** The argument of `persist.onEnd`. */
export const answerInput = object({ responseMessage: message });

function object<Shape extends z.ZodRawShape>(shape: Shape) {
  return z.object(shape, { error: ({ input }) => `expected an object, found ${describe(input)}` });
}

function id(hint: string) {
  return text({ min: 1, max: 255, hint });
}

function text({ min, max, hint }: { min: number; max: number; hint: string }) {
  const error = ({ input }: { input?: unknown }) =>
    `expected ${min === 0 ? "at most" : `${min} to`} ${max} characters (${hint}), found ${describe(input)}`;
  return z
    .string({ error })
    .refine((value) => value.length >= min && value.length <= max, { error })
    .refine((value) => value.isWellFormed() && !value.includes("\0"), {
      error: "expected text that Postgres can store, found a NUL or an unpaired surrogate; remove it",
    });
}

function positiveInteger(max: number, hint: string) {
  return z.custom<number>((value) => Number.isSafeInteger(value) && Number(value) >= 1 && Number(value) <= max, {
    error: ({ input }) => `expected a positive integer (${hint}), found ${describe(input)}`,
  });
}

/** The kind of a value. Never the value itself, because it may be chat content. */
function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (value === "") return "an empty string";
  if (typeof value === "string") return `a string of ${value.length} characters`;
  if (Array.isArray(value)) return "an array";
  if (typeof value === "number") return `the number ${value}`;
  if (value instanceof Date) return "an invalid Date";
  return `a value of type ${typeof value}`;
}

/** The checked copy of an input. */
export type Parsed<Shape extends z.ZodType> = z.output<Shape>;
