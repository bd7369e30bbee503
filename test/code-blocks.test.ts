import { existsSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { drizzle } from "drizzle-orm/node-postgres";
import { integer, pgTable, text } from "drizzle-orm/pg-core";
import pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createChatStore, migrate } from "../src/index.ts";
import { say } from "./support/conversations.ts";
import { createDatabase } from "./support/databases.ts";
import { temporaryFolder } from "./support/folder.ts";
import { type Block, blocksOf, pages } from "./support/pages.ts";
import { isInRecipe } from "./support/recipes.ts";
import { typeErrorsIn } from "./support/type-errors.ts";

const folder = temporaryFolder("code-blocks");

const blocks = pages.flatMap(blocksOf);
/** Next compiles the application of docs/next.md itself, and test/recipes checks the recipes. */
const code = blocks.filter(
  (block) =>
    (block.language === "ts" && !block.note.startsWith("next: ") && !isInRecipe(block)) ||
    (block.language === "tsx" && block.note === "hooks"),
);
const placeOf = ({ page, line }: Block) => `${page}:${line}`;
const fileOf = ({ page, line, language }: Block) => join(folder, `${basename(page)}-${line}.${language}`);

/** What the blocks find in the application. Packages of others than this one's peers stand here as far as they are called. */
const names = `
import type { ChatInit, ToolSet, UIMessage } from "ai";
import type { ChatStore, ChatWithMessages } from "drizzle-chat-store";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import type pg from "pg";

type Message = UIMessage<unknown, { progress: { done: number } }>;

declare global {
  type MyUIMessage = Message;
  const db: NodePgDatabase;
  const primary: NodePgDatabase;
  const replica: NodePgDatabase;
  const pool: pg.Pool;
  const store: ChatStore<Message>;
  const userId: string;
  const chatId: string;
  const messages: Message[];
  const chat: ChatWithMessages<Message>;
  const notice: Message;
  const message: Message;
  const messageId: string;
  const guestId: string;
  const question: string;
  const model: import("ai").LanguageModel;
  const turn: import("drizzle-chat-store").Turn<Message>;
  const result: import("ai").StreamTextResult<ToolSet, Record<string, unknown>, never>;
  const consumeStream: typeof import("ai").consumeStream;
  const createUIMessageStreamResponse: typeof import("ai").createUIMessageStreamResponse;
  const toUIMessageStream: typeof import("ai").toUIMessageStream;
  function waitUntil(promise: Promise<unknown>): void;
  const accounts: typeof import("./chat").accounts;
  function countTokens(message: Message): Promise<void>;
  function readable(message: UIMessage): Promise<UIMessage>;
  const Bun: { serve(options: { port: string | number; fetch(request: Request): Promise<Response>; idleTimeout: number }): void };
  const Deno: {
    serve(options: { port: number }, handler: (request: Request) => Promise<Response>): void;
    env: { get(name: string): string | undefined };
  };
}
`;
const application = `
import type { LanguageModel, ToolSet } from "ai";
import type { ChatStore } from "drizzle-chat-store";
import { integer, pgTable, text } from "drizzle-orm/pg-core";
export const accounts = pgTable("accounts", { userId: text("user_id").notNull(), credits: integer("credits").notNull() });
export declare const model: LanguageModel;
export declare const store: ChatStore;
export declare const tools: ToolSet;
export declare function userIdOf(request: Request): Promise<string>;
`;
const betterAuth = "export declare function betterAuth(options: { plugins: object[] }): object;\n";
const betterAuthPlugins = `
type Session = { user: { id: string } };
export declare function anonymous(options: {
  onLinkAccount(accounts: { anonymousUser: Session; newUser: Session }): Promise<void>;
}): object;
`;

/** A block as a module. */
const moduleOf = ({ text, note }: Block) =>
  note === "in a handler" ? `export async function handler() {\n${text}}\n` : `${text}\nexport {};\n`;

beforeAll(async () => {
  await writeFile(join(folder, "names.d.ts"), names);
  await writeFile(join(folder, "chat.ts"), application);
  await writeFile(join(folder, "better-auth.ts"), betterAuth);
  await writeFile(join(folder, "better-auth-plugins.ts"), betterAuthPlugins);
  for (const block of code) await writeFile(fileOf(block), moduleOf(block));
});

// It compiles a whole program, and nothing in it waits.
test("every block of TypeScript type-checks against the package", { timeout: 0 }, () => {
  const found = typeErrorsIn([join(folder, "names.d.ts"), ...code.map(fileOf)], {
    paths: {
      "better-auth": [join(folder, "better-auth.ts")],
      "better-auth/plugins": [join(folder, "better-auth-plugins.ts")],
    },
  }).map(({ file, line, message }) => {
    const block = code.find((block) => file === fileOf(block));
    return `${block ? placeOf({ ...block, line: block.line + line }) : file} ${message}`;
  });
  expect(found).toEqual([]);
});

test("every block and table row of docs/llms.txt is printed on another page, too", () => {
  const others = new Set(blocks.filter(({ page }) => page !== "docs/llms.txt").map(({ text }) => text));
  const alone = blocksOf("docs/llms.txt").filter(({ text }) => !others.has(text));
  expect(alone.map(placeOf)).toEqual([]);
  const rows = (page: string) =>
    readFileSync(page, "utf8")
      .split("\n")
      .filter((line) => line.startsWith("| "))
      .map((line) => line.replaceAll("](docs/", "]("));
  const rowsElsewhere = new Set(pages.filter((page) => page !== "docs/llms.txt").flatMap(rows));
  expect(rows("docs/llms.txt").filter((row) => !rowsElsewhere.has(row))).toEqual([]);
});

test("docs/turns.md has the same table of requests as startTurn's comment", () => {
  const rows = [...readFileSync("src/types/store.ts", "utf8").matchAll(/^ +\* (\| (?:user|assistant),.*)$/gm)];
  expect(rows).toHaveLength(6);
  const page = readFileSync("docs/turns.md", "utf8");
  expect(rows.map(([, row = ""]) => row).filter((row) => !page.includes(row))).toEqual([]);
});

test("every link in the pages leads to a file and a heading that exist", () => {
  const broken = pages.flatMap((page) => {
    const links = [...readFileSync(page, "utf8").matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g)];
    return links.flatMap(([whole, path = "", anchor]) => {
      const target = path === "" ? page : join(dirname(page), path);
      const leads = existsSync(target) && (anchor === undefined || anchorsOf(target).includes(anchor));
      return leads ? [] : [`${page}: ${whole}`];
    });
  });
  expect(broken).toEqual([]);
});

/** The anchors that GitHub gives to headings. */
const anchorsOf = (page: string) =>
  [...readFileSync(page, "utf8").matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replace(/[^\w\s-]/g, "")
      .replaceAll(" ", "-"),
  );

/** Those that need a browser, a model or a database of their own, or that other tests run. */
const runElsewhere = ({ text, note, page, language }: Block) =>
  language === "tsx" ||
  /useChat|generateText|from "(\.\/chat(\.ts)?|better-auth)"|process\.env|export \* from/.test(text) ||
  note === "in a handler" ||
  page === "docs/moving-in.md";

describe("the printed blocks on a database", () => {
  let pool: pg.Pool;
  let drop: () => Promise<void>;
  const db = () => drizzle(pool);
  beforeAll(async () => {
    const database = await createDatabase();
    drop = database.drop;
    pool = new pg.Pool({ connectionString: database.url });
    // Its sockets close a little after `end`, when the database may be gone already.
    pool.on("error", () => {});
    await migrate(db());
    await migrate(db(), { schema: "assistant" });
    await pool.query("create table accounts (user_id text, credits integer)");
  });
  beforeEach(() => pool.query("delete from chat_store.chats"));
  afterAll(async () => {
    await pool.end();
    await drop();
  });

  test.each(["docs/api.md", "docs/llms.txt"])("%s names every field of a Chat", async (page) => {
    const store = createChatStore(db());
    const ids = { userId: "ada", chatId: "chat" };
    await store.upsertChat({ ...ids, messages: [] });
    const chat = await store.updateChat({ ...ids, metadata: { pinned: true } });
    const [, fields = ""] = /`\{ (id, userId, title[^}]*) \}`/.exec(readFileSync(page, "utf8")) ?? [];
    expect(fields.split(", ").map((field) => field.replace("?", ""))).toEqual(Object.keys(chat ?? {}));
  });

  const runnable = code.filter((block) => !runElsewhere(block));
  test.each(runnable.map((block) => [placeOf(block), block] as const))("%s runs as printed", async (_, block) => {
    const store = createChatStore(db());
    const ids = { userId: "ada", chatId: "chat" };
    const messages = [say("user", "Why?"), say("assistant", "Because.")];
    await store.upsertChat({ ...ids, title: "Tides", messages });
    const chat = await store.getChat(ids);
    const accounts = pgTable("accounts", { userId: text("user_id"), credits: integer("credits") });
    const [message] = messages;
    const notice = say("assistant", "Back.");
    const stored = { ...ids, messages, chat, message, messageId: message?.id };
    const application = {
      db: db(),
      primary: db(),
      replica: db(),
      store,
      ...stored,
      accounts,
      notice,
      guestId: "guest",
    };
    Object.assign(globalThis, application);
    try {
      await import(/* @vite-ignore */ fileOf(block));
    } finally {
      for (const name of Object.keys(application)) Reflect.deleteProperty(globalThis, name);
    }
  });

  const sql = blocks.filter(({ language, page }) => language === "sql" && page !== "docs/moving-in.md");
  test.each(sql.map((block) => [placeOf(block), block] as const))("%s runs as printed", async (_, { note, text }) => {
    const client = await pool.connect();
    try {
      // A role, too, is gone afterwards. What Postgres does not do in a transaction is undone by being there already.
      if (!text.includes("concurrently")) await client.query("begin");
      if (note.startsWith("after: ")) await client.query(note.slice("after: ".length));
      await client.query(text);
    } finally {
      await client.query("rollback");
      client.release();
    }
  });
});
