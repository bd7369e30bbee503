import { randomUUID } from "node:crypto";
import * as ai from "ai";
import * as aiTest from "ai/test";
import * as ai5 from "ai5";
import * as ai5Test from "ai5/test";
import * as ai6 from "ai6";
import * as ai6Test from "ai6/test";
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { z } from "zod";
import { type ChatStore, createChatStore, type Turn } from "../../src/index.ts";
import { serve } from "../support/chat-server.ts";
import { say } from "../support/conversations.ts";
import { nodePostgres, openWith, type TestDatabase } from "../support/databases.ts";
import { dyingProcess } from "../support/dying-process.ts";
import { eventually } from "../support/eventually.ts";

/** The version that the application has installed, for its pages and for the store. */
const installed = vi.hoisted(() => ({ sdk: undefined as typeof ai5 | undefined }));
vi.mock(import("../../src/turns/protocol.ts"), async (original) => {
  const { protocolOf, ...others } = await original();
  return { ...others, protocolOf, installedProtocol: () => protocolOf(installed.sdk ?? expect.fail()) };
});

/** What a model does when it is asked: its stream, which ends with an error once nobody wants it any more. */
type Model = (options: { abortSignal?: AbortSignal | undefined }) => Promise<{ stream: ReadableStream }>;

const tools = {
  remove: { inputSchema: z.object({ file: z.string() }), needsApproval: true, execute: async () => "removed" },
  whereAmI: { inputSchema: z.object({}) },
};
const options = { maxRetries: 0, onError: () => {} };

/** The POST handler, written out for each version of the SDK. */
const sdks = [
  {
    name: "ai 5",
    client: ai5,
    finish: { finishReason: "stop", usage: { inputTokens: 1, outputTokens: 1, totalTokens: 2 } },
    respond: async (turn: Turn, doStream: Model) =>
      ai5
        .streamText({
          ...options,
          model: new ai5Test.MockLanguageModelV2({ doStream } as never),
          messages: ai5.convertToModelMessages(turn.messages as ai5.UIMessage[], { ignoreIncompleteToolCalls: true }),
          tools,
          abortSignal: turn.abortSignal,
        })
        .toUIMessageStreamResponse({
          ...(turn as unknown as Turn<ai5.UIMessage>).persist,
          consumeSseStream: turn.consumeSseStream,
        }),
  },
  {
    name: "ai 6",
    client: ai6 as unknown as typeof ai5,
    finish: {
      finishReason: { unified: "stop" },
      usage: { inputTokens: { total: 1 }, outputTokens: { total: 1 } },
    },
    respond: async (turn: Turn, doStream: Model) =>
      ai6
        .streamText({
          ...options,
          model: new ai6Test.MockLanguageModelV3({ doStream } as never),
          messages: await ai6.convertToModelMessages(turn.messages as ai6.UIMessage[], {
            ignoreIncompleteToolCalls: true,
          }),
          tools,
          abortSignal: turn.abortSignal,
        })
        .toUIMessageStreamResponse({
          ...(turn as unknown as Turn<ai6.UIMessage>).persist,
          consumeSseStream: turn.consumeSseStream,
        }),
  },
  {
    name: "ai 7",
    client: ai as unknown as typeof ai5,
    finish: {
      finishReason: { unified: "stop", raw: "stop" },
      usage: { inputTokens: { total: 1 }, outputTokens: { total: 1 } },
    },
    respond: async (turn: Turn, doStream: Model) => {
      const result = ai.streamText({
        ...options,
        model: new aiTest.MockLanguageModelV4({ doStream } as never),
        messages: await ai.convertToModelMessages(turn.messages, { ignoreIncompleteToolCalls: true }),
        tools,
        abortSignal: turn.abortSignal,
      });
      return ai.createUIMessageStreamResponse({
        stream: ai.toUIMessageStream({ stream: result.stream, ...turn.persist }),
        consumeSseStream: turn.consumeSseStream,
      });
    },
  },
];

describe.each(sdks)("Live turns with the client of $name", ({ name, client, finish, respond }) => {
  let database: TestDatabase;
  let store: ChatStore;
  beforeAll(async () => {
    installed.sdk = client;
    database = await openWith(nodePostgres);
    store = createChatStore(database.db);
  });
  afterAll(() => database.close());

  /** A server with the three routes, a chat, and a model that says what the test lets it say. */
  async function open(messages: ai.UIMessage[] = []) {
    const ids = { userId: "u", chatId: randomUUID() };
    if (messages.length > 0) await store.upsertChat({ ...ids, messages });
    const { readable, writable } = new TransformStream();
    const voice = writable.getWriter();
    const speak = (part: object) => void voice.write(part).catch(() => {});
    speak({ type: "stream-start", warnings: [] });
    speak({ type: "text-start", id: "1" });
    const model: Model = async ({ abortSignal }) => {
      abortSignal?.addEventListener("abort", () => void voice.abort(abortSignal.reason).catch(() => {}));
      return { stream: readable };
    };
    const turns: Turn[] = [];
    const process = dyingProcess(database.db);
    const asking = createChatStore(process.db);
    const server = await serve(async (request) => {
      const { searchParams } = new URL(request.url);
      if (request.method === "POST") {
        const { id: _, ...sent } = (await request.json()) as { id: string; message: ai.UIMessage };
        const turn = await asking.startTurn({ ...ids, ...sent, tools });
        turns.push(turn);
        return respond(turn, model);
      }
      if (request.method === "DELETE") {
        await store.stopTurn({ ...ids, messageId: searchParams.get("message") ?? undefined });
        return new Response(null, { status: 204 });
      }
      const version = searchParams.get("version");
      const stream = await store.resumeTurn({ ...ids, ...(version && { version: Number(version) }) });
      return stream
        ? new Response(stream, { headers: ai.UI_MESSAGE_STREAM_HEADERS })
        : new Response(null, { status: 204 });
    });
    onTestFinished(async () => {
      await server.close();
    });

    /** A tab that is opened now: it shows what is stored. */
    const openTab = async () => {
      const loaded = await store.getChat(ids);
      return tabOf((loaded?.messages ?? []) as ai5.UIMessage[], loaded?.version);
    };
    const tabOf = (messages: ai5.UIMessage[], version: number | undefined) =>
      new (class extends client.AbstractChat<ai5.UIMessage> {})({
        id: ids.chatId,
        onError: () => {},
        transport: new client.DefaultChatTransport({
          api: server.url,
          prepareSendMessagesRequest: ({ id, messages, trigger, messageId }) => ({
            body: { id, message: messages.at(-1), trigger, messageId },
          }),
          prepareReconnectToStreamRequest: () => ({ api: `${server.url}${version ? `?version=${version}` : ""}` }),
        }),
        state: {
          status: "ready",
          error: undefined,
          messages,
          pushMessage(message) {
            this.messages = [...this.messages, message];
          },
          popMessage() {
            this.messages = this.messages.slice(0, -1);
          },
          replaceMessage(index, message) {
            this.messages = this.messages.with(index, message);
          },
          snapshot: structuredClone,
        },
      });
    return {
      ids,
      openTab,
      turns,
      server,
      say: async (delta: string) => {
        speak({ type: "text-delta", id: "1", delta });
        const isRecorded = async () =>
          (
            await database.query("select from chat_store.turn_chunks where chat_id = $1 and text like $2", [
              ids.chatId,
              `%${delta}%`,
            ])
          ).length > 0;
        await eventually(`"${delta}" is recorded`, isRecorded);
      },
      finish: async () => {
        speak({ type: "text-end", id: "1" });
        speak({ type: "finish", ...finish });
        await voice.close();
      },
      stored: async () => (await store.getChat(ids))?.messages,
      /** The process dies that writes the answer, and more time passes than a turn may be silent for. */
      die: async () => {
        await process.die();
        const setBack = "update chat_store.turns set beat_at = now() - interval '11 seconds' where chat_id = $1";
        await database.query(setBack, [ids.chatId]);
      },
      comeBack: process.comeBack,
    };
  }
  const shown = (tab: { messages: unknown }) => JSON.parse(JSON.stringify(tab.messages));
  const textOf = (message: { parts: { type: string }[] } | undefined) =>
    message?.parts.map((part) => ("text" in part ? part.text : "")).join("");

  test("a reloaded page, a second tab and a tab that joins at the end all show the stored messages", async () => {
    const chat = await open();
    const asking = await chat.openTab();
    const asked = asking.sendMessage({ text: "Why do tides turn?" });
    await chat.say("The moon ");
    const [reloaded, second, late] = [await chat.openTab(), await chat.openTab(), await chat.openTab()];
    const resumed = [reloaded.resumeStream(), second.resumeStream()];
    await eventually("the reloaded page shows the beginning", () => textOf(reloaded.messages.at(-1)) === "The moon ");
    await chat.say("pulls.");
    await chat.finish();
    await Promise.all([asked, ...resumed]);
    await late.resumeStream();
    const stored = await chat.stored();
    expect(stored).toHaveLength(2);
    for (const tab of [asking, reloaded, second, late]) {
      expect(shown(tab)).toEqual(stored);
      expect(tab.status).toBe("ready");
    }
    // Nothing is left to resume, and nothing is shown twice.
    const fresh = await chat.openTab();
    await fresh.resumeStream();
    expect(shown(fresh)).toEqual(stored);
  });

  test("a stop from another tab ends the answer in every tab, also after a reload", async () => {
    const chat = await open();
    const asking = await chat.openTab();
    const asked = asking.sendMessage({ text: "Why do tides turn?" });
    await chat.say("The moon ");
    const second = await chat.openTab();
    const resumed = second.resumeStream();
    await fetch(`${chat.server.url}?message=${second.messages[0]?.id}`, { method: "DELETE" });
    await Promise.all([asked, resumed]);
    const stored = await chat.stored();
    expect(textOf(stored?.at(-1))).toBe("The moon ");
    for (const tab of [asking, second, await chat.openTab()]) {
      await tab.resumeStream();
      expect(shown(tab)).toEqual(stored);
    }
  });

  test("a stop in the asking tab leaves the turn running, and a reloaded page joins it", async () => {
    const chat = await open();
    const asking = await chat.openTab();
    const asked = asking.sendMessage({ text: "Why do tides turn?" });
    await chat.say("The moon ");
    await asking.stop();
    await asked;
    const reloaded = await chat.openTab();
    const resumed = reloaded.resumeStream();
    await chat.say("pulls.");
    await chat.finish();
    await resumed;
    expect(shown(reloaded)).toEqual(await chat.stored());
    expect(textOf(reloaded.messages.at(-1))).toBe("The moon pulls.");
  });

  test("a page shows the whole answer when its network is back, with ai 5 after a reload", async () => {
    const chat = await open();
    const asking = await chat.openTab();
    const asked = asking.sendMessage({ text: "Why do tides turn?" });
    await chat.say("The moon ");
    await chat.server.disconnect();
    await asked;
    expect(asking.status).toBe("error");
    const page = name === "ai 5" ? await chat.openTab() : asking;
    const resumed = page.resumeStream();
    await chat.say("pulls.");
    await chat.finish();
    await resumed;
    expect(shown(page)).toEqual(await chat.stored());
    expect(page.status).toBe("ready");
  });

  test("a page shows an error and the partial answer when the server has died", async () => {
    const chat = await open();
    const asking = await chat.openTab();
    void asking.sendMessage({ text: "Why do tides turn?" });
    await chat.say("The moon ");
    const attached = await chat.openTab();
    const resumed = attached.resumeStream();
    await eventually("the second tab shows the beginning", () => attached.messages.length === 2);
    await chat.die();
    const reloaded = await chat.openTab();
    await reloaded.resumeStream();
    await resumed;
    for (const tab of [attached, reloaded]) {
      expect(tab.status).toBe("error");
      expect(textOf(tab.messages.at(-1))).toBe("The moon ");
    }
    const stored = await chat.stored();
    expect(stored?.map(textOf)).toEqual(["Why do tides turn?", "The moon "]);
    expect(shown(reloaded).at(-1).id).toBe(stored?.at(-1)?.id);
    await asking.stop();
    chat.comeBack();
    await chat.finish();
  });

  const call = (tool: string, state: object) => ({ type: `tool-${tool}`, toolCallId: "t1", input: {}, ...state });
  const continuations = [
    { kind: "the output of a client tool", part: call("whereAmI", { state: "input-available" }), output: "Hamburg" },
    ...(name === "ai 5"
      ? []
      : [
          {
            kind: "an approval",
            part: call("remove", { state: "approval-requested", approval: { id: "p" }, input: { file: "a" } }),
            output: "removed",
          },
        ]),
  ];
  test.each(continuations)("a reloaded page joins an answer that goes on after $kind", async ({ part, output }) => {
    const before = {
      id: "a1",
      role: "assistant",
      parts: [{ type: "text", text: "Let me see. ", state: "done" }, part],
    };
    const chat = await open([say("user", "Why?", "q1"), before as ai.UIMessage]);
    const asking = await chat.openTab();
    if (output === "Hamburg") await asking.addToolOutput({ tool: "whereAmI", toolCallId: "t1", output });
    else
      await (asking as unknown as ai.AbstractChat<ai.UIMessage>).addToolApprovalResponse({ id: "p", approved: true });
    const asked = asking.sendMessage();
    await chat.say("The moon ");
    const reloaded = await chat.openTab();
    const resumed = reloaded.resumeStream();
    await eventually("the reloaded page goes on", () => (textOf(reloaded.messages.at(-1)) ?? "").includes("The moon"));
    await chat.say("pulls.");
    await chat.finish();
    await Promise.all([asked, resumed]);
    const stored = await chat.stored();
    expect(stored).toHaveLength(2);
    expect(textOf(stored?.at(-1))).toBe("Let me see. The moon pulls.");
    expect(stored?.at(-1)?.parts).toContainEqual(expect.objectContaining({ state: "output-available", output }));
    expect(shown(asking)).toEqual(stored);
    // No chunk that all three versions know says that an approval was given.
    const withoutApprovals = (messages: unknown) =>
      JSON.parse(JSON.stringify(messages, (key, value) => (key === "approval" ? undefined : value)));
    expect(withoutApprovals(reloaded.messages)).toEqual(withoutApprovals(stored));
  });
});
