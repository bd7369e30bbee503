import type { UIMessage } from "ai";
import type { Page } from "playwright-core";
import { expect } from "vitest";
import type { ChatClient } from "../../../src/client.ts";
import type { UseChatsResult, UseStoredChatResult } from "../../../src/react.ts";
import { eventually } from "../eventually.ts";

/** What `useStoredChat` or `useChats` returned in the latest render, as far as it can leave the browser. */
export type View = Omit<UseChatsResult, "loadStatus" | "loadError"> &
  Pick<UseStoredChatResult, "messages" | "status" | "chat" | "hasMore" | "isLoadingOlder" | "isReconnecting"> & {
    loadStatus: UseStoredChatResult["loadStatus"];
    error: ErrorView | undefined;
    loadError: ErrorView | undefined;
    texts: string[];
    ids: string[];
    /** Of each message: the number of its alternative, and how many there are. */
    pickers: string[];
  };

interface ErrorView {
  name: string;
  message: string;
  code?: string;
  isRetryable?: boolean;
}

export type Tab = ReturnType<typeof tabOf>;

interface Commit {
  name: string;
  id?: string;
  resultId?: string;
  chatId?: string;
  status?: string;
  loadStatus?: string;
  ids: string[];
  texts: string[];
  pickers: string[];
  titles: string[];
}

interface Global {
  show(views: Record<string, object>): void;
  results: Record<string, UseStoredChatResult & UseChatsResult>;
  commits: Commit[];
  heard: string[];
  outputs: Record<string, unknown>;
  client: ChatClient;
  isUnfinished(message: UIMessage): boolean;
}

/** Drives the page in a tab, and reads it. */
export function tabOf(page: Page) {
  const read = (name = "chat"): Promise<View> =>
    page.evaluate((name) => {
      const toView = (error?: Error & { code?: string; isRetryable?: boolean }) =>
        error && { name: error.name, message: error.message, code: error.code, isRetryable: error.isRetryable };
      const { results } = globalThis as unknown as Global;
      const { messages, chats, error, loadError, ...result } = results[name] as UseStoredChatResult & UseChatsResult;
      const plain = Object.fromEntries(Object.entries(result).filter(([, value]) => typeof value !== "function"));
      const textOf = ({ parts }: UIMessage) => parts.map((part) => ("text" in part ? part.text : "")).join("");
      return {
        ...plain,
        chats,
        messages: messages && JSON.parse(JSON.stringify(messages)),
        texts: messages?.map(textOf),
        ids: messages?.map(({ id }) => id),
        pickers: messages?.map(({ id }) => {
          const { position, count } = result.branchOf(id);
          return `${position}/${count}`;
        }),
        error: toView(error as Error),
        loadError: toView(loadError as Error),
      } as never;
    }, name);

  const heard = () => page.evaluate(() => (globalThis as unknown as Global).heard);

  return {
    page,
    read,

    /** Adds views, gives them new options, or with `null` takes them away. */
    async show(views: Record<string, object | null>) {
      await page.waitForFunction(() => "show" in globalThis);
      await page.evaluate((views) => {
        (globalThis as unknown as Global).show(views as never);
      }, views);
      for (const [name, view] of Object.entries(views)) {
        if (view) await page.waitForFunction((name) => name in (globalThis as unknown as Global).results, name);
      }
    },

    /** Waits until the latest render is like this, and returns it. */
    async until(what: string, isSo: (view: View) => unknown, name = "chat") {
      let latest: View | undefined;
      const look = async () => {
        latest = await read(name);
        return isSo(latest) && latest;
      };
      return eventually(what, look, { seconds: 60, every: 30 }).catch(async (cause) => {
        const renders = (await this.commits(name)).slice(-5);
        const told = JSON.stringify({ latest, heard: await heard(), renders }, null, 1);
        throw new Error(`${what}: ${told}`, { cause });
      });
    },

    /** Waits until the text of the last message is this one. */
    shows(text: string, name = "chat") {
      return this.until(`it shows "${text}"`, ({ texts }) => texts.at(-1) === text, name);
    },

    /** Waits until nothing is under way. */
    ready(name = "chat") {
      return this.until("it is ready", ({ status, loadStatus }) => status === "ready" && loadStatus === "loaded", name);
    },

    /** Calls a function of the hook, and waits for it. */
    call<
      Name extends
        | "sendMessage"
        | "regenerate"
        | "stop"
        | "reload"
        | "loadOlder"
        | "loadMore"
        | "refetch"
        | "update"
        | "remove"
        | "addToolOutput"
        | "addToolApprovalResponse"
        | "setMessages",
    >(method: Name, parameters: unknown[] = [], name = "chat"): Promise<unknown> {
      return page.evaluate(
        ([method, parameters, name]) => {
          const result = (globalThis as unknown as Global).results[name as string] as never;
          const call = result[method as never] as (...parameters: unknown[]) => Promise<unknown>;
          return call(...(parameters as unknown[]));
        },
        [method, parameters, name],
      );
    },

    /** Calls `previous` or `next` of the picker of a message, and waits for it. */
    pick(direction: "previous" | "next", messageId: string, name = "chat"): Promise<void> {
      return page.evaluate(
        ([direction, messageId, name]) => {
          const branch = (globalThis as unknown as Global).results[name as string]?.branchOf(messageId as string);
          return branch?.[direction as "next"]();
        },
        [direction, messageId, name],
      );
    },

    /** Calls a function of the hook. The answer is still to come: the test may end before it has. */
    begin(method: "sendMessage" | "regenerate", parameters: unknown[] = [], name = "chat") {
      return page.evaluate(
        ([method, parameters, name]) => {
          const result = (globalThis as unknown as Global).results[name as string] as never;
          void (result[method as never] as (...parameters: unknown[]) => Promise<unknown>)(
            ...(parameters as unknown[]),
          );
        },
        [method, parameters, name],
      );
    },

    /** Begins to ask. */
    ask(text: string, name = "chat") {
      return this.begin("sendMessage", [{ text }], name);
    },

    /** The page is visible again. */
    comeBack: () => page.evaluate("document.dispatchEvent(new Event('visibilitychange'))"),

    /** The browser says that it is online again. */
    comeOnline: () => page.evaluate("dispatchEvent(new Event('online'))"),

    heard,

    /** The page has lost a connection. It keeps no error of it: if the server is there, it soon joins the answer again. */
    hasLostConnection: () =>
      eventually("the connection is lost", async () => (await heard()).includes("error network"), { seconds: 60 }),

    commits: (name = "chat") =>
      page.evaluate((name) => (globalThis as unknown as Global).commits.filter((commit) => commit.name === name), name),

    /** No render has ever shown a message twice, or messages of another chat. */
    async expectNothingWrong() {
      if (page.isClosed()) return;
      const commits = await page.evaluate(() => (globalThis as unknown as Global).commits);
      for (const { ids, id, resultId, chatId } of commits) {
        expect(new Set(ids).size, `doubles in ${ids}`).toBe(ids.length);
        expect(resultId).toBe(id);
        if (chatId) expect(chatId).toBe(id);
      }
    },
  };
}
