import { z } from "zod/v4";

const integerMax = 2_147_483_647;

const userId = text({ min: 1, max: 255, hint: "the id of the signed-in user, from the session" });
const chatId = text({ min: 1, max: 255, hint: "the id of the chat" });
const title = text({ min: 0, max: 1_000, hint: "leave it out to keep the stored one" }).optional();
const version = positiveInteger(integerMax, "the version of the chat as it was loaded");

const message = z.object(
  {
    id: text({
      min: 1,
      max: 255,
      hint: "give generateMessageId to toUIMessageStream, or every answer arrives without one",
    }),
    role: text({ min: 1, max: 255, hint: '"user", "assistant" or "system"' }),
    // Parts are never looked into: unknown kinds from newer SDKs are stored like all others.
    parts: z.custom<unknown[]>(Array.isArray, { error: ({ input }) => `expected an array, found ${describe(input)}` }),
    metadata: z.unknown().optional(),
  },
  { error: ({ input }) => `expected a UIMessage object, found ${describe(input)}` },
);

const messages = z.unknown().transform((input, context) => {
  if (!Array.isArray(input)) {
    const error = `expected the array of all messages of the chat, found ${describe(input)}`;
    context.addIssue({ code: "custom", message: error });
    return z.NEVER;
  }
  const indexOf = new Map<string, number>();
  const checked: z.infer<typeof message>[] = [];
  // Not z.array, which collects what is wrong with each of a million elements.
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
          `is also the id of messages[${first}], expected ids that are unique within the chat. The history was ` +
          "spliced wrongly: a message whose id is already there replaces it and everything after it",
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
  after: text({ min: 1, max: 255, hint: "the id of the message that the given ones follow" }).optional(),
  expectedVersion: version.optional(),
});

export const chatInput = object({ userId, chatId });

const flag = z
  .boolean({ error: ({ input }) => `expected true, false or nothing, found ${describe(input)}` })
  .optional();

export const updateChatInput = object({
  userId,
  chatId,
  title,
  titleIfEmpty: title,
  expectedTitle: text({ min: 0, max: 1_000, hint: "the title that is to be replaced" }).optional(),
  archived: flag,
  metadata: z.unknown().optional(),
}).superRefine(({ title, titleIfEmpty, expectedTitle, archived, metadata }, context) => {
  if (title !== undefined && titleIfEmpty !== undefined) {
    const message = "is given beside title, expected one of the two: titleIfEmpty leaves a title alone that is there";
    context.addIssue({ code: "custom", path: ["titleIfEmpty"], message });
  }
  if (title === undefined && expectedTitle !== undefined) {
    const message = "is given without title, expected title as well: the one that replaces it";
    context.addIssue({ code: "custom", path: ["expectedTitle"], message });
  } else if ([title, titleIfEmpty, archived, metadata].every((value) => value === undefined)) {
    const message = "says nothing about the chat, expected title, titleIfEmpty, archived or metadata";
    context.addIssue({ code: "custom", path: [], message });
  }
});

export const forkChatInput = object({
  userId,
  chatId,
  newChatId: text({ min: 1, max: 255, hint: "the id that the new chat shall have" }),
  throughMessageId: text({
    min: 1,
    max: 255,
    hint: "the id of the last message to copy; leave it out for all",
  }).optional(),
  title,
});

export const updateMessageInput = object({ userId, chatId, message, expectedVersion: version.optional() });

export const deleteMessageInput = object({
  userId,
  chatId,
  messageId: text({ min: 1, max: 255, hint: "the id of a message" }),
  following: flag,
  expectedVersion: version.optional(),
});

export const getMessagesInput = object({
  userId,
  chatId,
  limit: positiveInteger(Number.MAX_SAFE_INTEGER, "how many messages to return at most"),
  before: text({ min: 1, max: 255, hint: "the id of the first message of the page after this one" }).optional(),
});

export const searchChatsInput = object({
  userId,
  query: text({ min: 1, max: 255, hint: "what is looked for" }),
  limit: positiveInteger(Number.MAX_SAFE_INTEGER, "how many matches to return at most").optional(),
  cursor: z
    .string({ error: ({ input }) => `expected the cursor of the previous page, found ${describe(input)}` })
    .optional(),
});

export const claimChatsInput = object({
  fromUserId: text({ min: 1, max: 255, hint: "the id of the user whose chats they are now" }),
  userId,
});

export const userInput = object({ userId });

export const getChatsInput = object({
  userId,
  archived: flag,
  limit: positiveInteger(Number.MAX_SAFE_INTEGER, "how many chats to return; leave it out for all").optional(),
  before: z
    .object(
      {
        id: chatId,
        updatedAt: z
          .date({ error: ({ input }) => `expected the chat's updatedAt, a valid Date, found ${describe(input)}` })
          .refine((date) => date.getUTCFullYear() >= 1 && date.getUTCFullYear() <= 9999, {
            error: "expected the chat's updatedAt, found a year outside 1 to 9999",
          })
          // A copy: the caller may change the Date, and its class how it is written.
          .transform((date) => new Date(date.getTime())),
      },
      { error: ({ input }) => `expected the last chat of the previous page, found ${describe(input)}` },
    )
    .optional(),
});

export const startTurnInput = object({
  userId,
  chatId,
  // Mostly the beginning of a question, which may hold what a title cannot: cleaned rather than refused.
  title: z
    .string({ error: ({ input }) => `expected a string, found ${describe(input)}` })
    .transform((title) =>
      title
        .slice(0, 1_000)
        .replace(/[\uD800-\uDBFF]$/, "")
        .toWellFormed()
        .replace(/[\s\p{Cc}]+/gu, " ")
        .trim(),
    )
    .optional(),
  message,
  limit: positiveInteger(
    Number.MAX_SAFE_INTEGER,
    "how many messages to give the model; leave it out for all",
  ).optional(),
  trigger: z
    .enum(["submit-message", "regenerate-message"], {
      error: ({ input }) =>
        `expected "submit-message" or "regenerate-message", as the SDK's transport gives it, found ${describe(input)}`,
    })
    .optional(),
  messageId: text({ min: 1, max: 255, hint: "as the SDK's transport gives it" }).optional(),
  /** The names of those that run in the browser. */
  tools: z
    .custom<Record<string, object>>((value) => typeof value === "object" && value !== null, {
      error: ({ input }) => `expected the tools that streamText is given, by name, found ${describe(input)}`,
    })
    .optional()
    .transform((tools) => new Set(clientToolsIn(tools ?? {}))),
});

const lastMessageId = text({ min: 1, max: 255, hint: "the id of a message" }).optional();

export const resumeTurnInput = object({ userId, chatId, version: version.optional() });

export const stopTurnInput = object({ userId, chatId, messageId: lastMessageId });

const clientToolsIn = (tools: Record<string, object>) =>
  Object.entries(tools)
    .filter(([, tool]) => !("execute" in tool && typeof tool.execute === "function"))
    .map(([name]) => name);

const schema = text({ min: 1, max: 63, hint: "the name of a Postgres schema" })
  .refine((name) => name.length > 63 || Buffer.byteLength(name) <= 63, {
    error: ({ input }) =>
      `expected at most 63 bytes, of which Postgres would ignore the rest, found ${describe(input)}`,
  })
  .refine((name) => name !== "public" && !name.startsWith("pg_") && name !== "information_schema", {
    error: "expected a schema for these tables alone, found one of the application's or of Postgres's own",
  })
  .optional();
export const chatStoreOptions = object({ schema, portable: flag, rowLevelSecurity: flag, prepare: flag });

export const migrateOptions = object({ schema });

/** What `persist.onEnd` is given. */
export const answerInput = object({ responseMessage: message });

function object<Shape extends z.ZodRawShape>(shape: Shape) {
  return z.object(shape, { error: ({ input }) => `expected an object, found ${describe(input)}` });
}

function text({ min, max, hint }: { min: number; max: number; hint: string }) {
  const error = ({ input }: { input?: unknown }) =>
    `expected ${min === 0 ? "at most" : `${min} to`} ${max} characters (${hint}), found ${describe(input)}`;
  return z
    .string({ error })
    .refine((value) => value.length >= min && value.length <= max, { error })
    .refine((value) => value.isWellFormed() && !value.includes("\0"), {
      error: "holds a NUL or an unpaired surrogate, which a Postgres text cannot; remove it",
    });
}

function positiveInteger(max: number, hint: string) {
  return z.custom<number>((value) => Number.isSafeInteger(value) && Number(value) >= 1 && Number(value) <= max, {
    error: ({ input }) => `expected a positive integer (${hint}), found ${describe(input)}`,
  });
}

/** What kind of value it is. Never the value: it may be chat text. */
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
