// Isolated: it replaces the module that knows the version of the SDK.
import { randomUUID } from "node:crypto";
import * as ai from "ai";
import * as ai5 from "ai5";
import * as ai6 from "ai6";
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { z } from "zod";
import { type ChatStore, createChatStore, type Turn } from "../../src/index.ts";
import { serve } from "../support/chat-server.ts";
import { say } from "../support/conversations.ts";
import { nodePostgres, openWith, type TestDatabase } from "../support/databases.ts";
import { dyingProcess } from "../support/dying-process.ts";
import { eventually } from "../support/eventually.ts";
import { type DoStream, sdks as versions } from "../support/sdks.ts";

/** The version that the application has installed, for its pages and for the store. */
const installed = vi.hoisted(() => ({ sdk: undefined as typeof ai5 | undefined }));
vi.mock(import("../../src/turns/sdk-protocol.ts"), async (original) => {
  const { detectProtocol, ...others } = await original();
  return { ...others, detectProtocol, installedProtocol: () => detectProtocol(installed.sdk ?? expect.fail()) };
});

const tools = {
  remove: { inputSchema: z.object({ file: z.string() }), needsApproval: true, execute: async () => "removed" },
  whereAmI: { inputSchema: z.object({}) },
};
const options = { maxRetries: 0, onError: () => {} };
const headersOf = (turn: Turn) => ({ "x-chat-version": String(turn.chat.version) });

const versionOf = (name: string) => versions.find((version) => version.name === name) ?? expect.fail();
const mockModel = (name: string, doStream: DoStream) => versionOf(name).mockModel(doStream) as never;

/** The POST handler, written out for each version of the SDK. */
const sdks = [
  {
    name: "ai 5",
    client: ai5,
    respond: async (turn: Turn, doStream: DoStream) =>
      ai5
        .streamText({
          ...options,
          model: mockModel("ai 5", doStream),
          messages: ai5.convertToModelMessages(turn.messages as ai5.UIMessage[], { ignoreIncompleteToolCalls: true }),
          tools,
          abortSignal: turn.abortSignal,
        })
        .toUIMessageStreamResponse({
          ...(turn as unknown as Turn<ai5.UIMessage>).persist,
          headers: headersOf(turn),
          consumeSseStream: turn.consumeSseStream,
        }),
  },
  {
    name: "ai 6",
    client: ai6 as unknown as typeof ai5,
    respond: async (turn: Turn, doStream: DoStream) =>
      ai6
        .streamText({
          ...options,
          model: mockModel("ai 6", doStream),
          messages: await ai6.convertToModelMessages(turn.messages as ai6.UIMessage[], {
            ignoreIncompleteToolCalls: true,
          }),
          tools,
          abortSignal: turn.abortSignal,
        })
        .toUIMessageStreamResponse({
          ...(turn as unknown as Turn<ai6.UIMessage>).persist,
          headers: headersOf(turn),
          consumeSseStream: turn.consumeSseStream,
        }),
  },
  {
    name: "ai 7",
    client: ai as unknown as typeof ai5,
    respond: async (turn: Turn, doStream: DoStream) => {
      const result = ai.streamText({
        ...options,
        model: mockModel("ai 7", doStream),
        messages: await ai.convertToModelMessages(turn.messages, { ignoreIncompleteToolCalls: true }),
        tools,
        abortSignal: turn.abortSignal,
      });
      return ai.createUIMessageStreamResponse({
        stream: ai.toUIMessageStream({ stream: result.stream, ...turn.persist }),
        headers: headersOf(turn),
        consumeSseStream: turn.consumeSseStream,
      });
    },
  },
];

describe.each(sdks)("Live turns with the client of $name", ({ name, client, respond }) => {
  let database: TestDatabase;
  let store: ChatStore;
  beforeAll(async () => {
    installed.sdk = client;
    database = await openWith(nodePostgres);
    store = createChatStore(database.db);
  });
  afterAll(() => database.close());

  /** A server with the three routes, a chat, and a model that says what the test lets it say, unless the application answers itself. */
  async function open(messages: ai.UIMessage[] = [], answerItself?: (turn: Turn) => Response) {
    const ids = { userId: "u", chatId: randomUUID() };
    if (messages.length > 0) await store.upsertChat({ ...ids, messages });
    const { readable, writable } = new TransformStream();
    const voice = writable.getWriter();
    const speak = (part: object) => void voice.write(part).catch(() => {});
    speak({ type: "stream-start", warnings: [] });
    speak({ type: "text-start", id: "1" });
    const model: DoStream = async ({ abortSignal }) => {
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
        return answerItself ? answerItself(turn) : respond(turn, model);
      }
      if (request.method === "DELETE") {
        await store.stopTurn({ ...ids, messageId: searchParams.get("message") ?? undefined });
        return new Response(null, { status: 204 });
      }
      const version = Number(searchParams.get("version")) || undefined;
      const stream = await store.resumeTurn({ ...ids, version });
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
    /** With the transport and the `onFinish` of README, as they are printed there. */
    const tabOf = (messages: ai5.UIMessage[], loadedVersion = 0) => {
      const heard: string[] = [];
      const network = { isDown: false };
      const [version, versionAtEnd] = [{ current: loadedVersion }, { current: loadedVersion }];
      const tab = new (class extends client.AbstractChat<ai5.UIMessage> {})({
        id: ids.chatId,
        onError: () => {},
        onToolCall: ({ toolCall }) => void heard.push(`tool ${toolCall.toolName}`),
        onData: ({ type }) => heard.push(type),
        transport: new client.DefaultChatTransport({
          api: server.url,
          prepareSendMessagesRequest: ({ id, messages, trigger, messageId }) => ({
            body: { id, message: messages.at(-1), trigger, messageId },
          }),
          prepareReconnectToStreamRequest: () => ({ api: `${server.url}?version=${version.current}` }),
          fetch: async (url, options) => {
            if (network.isDown) throw new TypeError("Failed to fetch");
            const response = await fetch(url, options);
            version.current = Number(response.headers.get("x-chat-version")) || version.current;
            versionAtEnd.current = version.current + (response.body ? 1 : 0);
            return response;
          },
        }),
        onFinish: ({ message, isAbort, isDisconnect, isError }) => {
          heard.push(`finish ${textOf(message)}`);
          if (!isAbort && !isDisconnect && !isError) version.current = versionAtEnd.current;
        },
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
      return Object.assign(tab, { heard, network, version });
    };
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
      call: (toolName: string) => speak({ type: "tool-call", toolCallId: "t1", toolName, input: "{}" }),
      finish: async () => {
        speak({ type: "text-end", id: "1" });
        speak({ type: "finish", ...versionOf(name).finish("stop") });
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
    // Before ai 7 no chunk says that an approval was given.
    const known = (messages: unknown) =>
      JSON.parse(JSON.stringify(messages, (key, value) => (key === "approved" && name !== "ai 7" ? undefined : value)));
    expect(known(reloaded.messages)).toEqual(known(stored));
    expect(reloaded.heard.filter((what) => what.startsWith("tool"))).toEqual([]);
  });

  /** An answer that the application writes: with data, and without a chunk that says that it is finished. */
  const ownAnswer = (wait: (turn: Turn) => Promise<unknown>) => (turn: Turn) => {
    const stream = client.createUIMessageStream({
      ...(turn as unknown as Turn<ai5.UIMessage>).persist,
      generateId: turn.persist.generateMessageId,
      execute: async ({ writer }) => {
        writer.write({ type: "start" });
        writer.write({ type: "data-mood", data: "calm" });
        writer.write({ type: "text-start", id: "1" });
        writer.write({ type: "text-delta", id: "1", delta: "I may not say." });
        await wait(turn);
        if (!turn.abortSignal.aborted) writer.write({ type: "text-end", id: "1" });
      },
    });
    const options = { headers: headersOf(turn), consumeSseStream: turn.consumeSseStream };
    return client.createUIMessageStreamResponse({ stream, ...options });
  };
  const joined = (tab: { messages: ai5.UIMessage[] }) =>
    eventually("the tab shows the beginning", () => textOf(tab.messages.at(-1)) === "I may not say.");

  test("an answer that the application writes itself ends for a tab that has joined it as for the one that asked", async () => {
    let end = () => {};
    const isOver = new Promise<void>((resolve) => {
      end = resolve;
    });
    const chat = await open(
      [],
      ownAnswer(() => isOver),
    );
    const asking = await chat.openTab();
    const asked = asking.sendMessage({ text: "Why?" });
    await joined(asking);
    const second = await chat.openTab();
    const resumed = second.resumeStream();
    await joined(second);
    end();
    await Promise.all([asked, resumed]);
    const stored = await chat.stored();
    for (const tab of [asking, second]) {
      expect(tab.status).toBe("ready");
      expect(shown(tab)).toEqual(stored);
    }
  });

  test("an answer that the application writes itself and leaves off when it is stopped is interrupted for a tab that has joined it", async () => {
    const stopped = ({ abortSignal }: Turn) =>
      new Promise((resolve) => abortSignal.addEventListener("abort", resolve, { once: true }));
    const chat = await open([], ownAnswer(stopped));
    const asking = await chat.openTab();
    const asked = asking.sendMessage({ text: "Why?" });
    await joined(asking);
    const second = await chat.openTab();
    const resumed = second.resumeStream();
    await joined(second);
    await fetch(chat.server.url, { method: "DELETE" });
    await Promise.all([asked, resumed]);
    expect(second.status).toBe("error");
    expect(textOf(second.messages.at(-1))).toBe("I may not say.");
  });

  /** What a page hears of a resume for which there is nothing to tell: the client of ai 5 calls `onFinish` all the same. */
  const nothing = name === "ai 5" ? [expect.stringMatching(/^finish/)] : [];
  const answers = [
    { kind: "with a client tool", own: undefined },
    { kind: "with data", own: ownAnswer(async () => {}) },
  ];
  test.each(answers)("a page hears nothing of its own answer $kind when a question cannot be sent", async ({ own }) => {
    const chat = await open([], own);
    const page = await chat.openTab();
    const asked = page.sendMessage({ text: "Where am I?" });
    if (!own) {
      chat.call("whereAmI");
      await chat.finish();
    }
    await asked;
    expect(page.heard).toEqual([own ? "data-mood" : "tool whereAmI", expect.stringMatching(/^finish/)]);
    expect(page.version.current).toBe(2);
    const before = shown(page);
    page.network.isDown = true;
    await page.sendMessage({ text: "Hello?" });
    page.network.isDown = false;
    page.heard.length = 0;
    await page.resumeStream();
    expect(page.heard).toEqual(nothing);
    expect(shown(page).slice(0, -1)).toEqual(before);
    expect(page.version.current).toBe(2);
  });

  test("a page whose stream broke off, or that has stopped listening, gets the whole answer as news", async () => {
    for (const leave of ["break", "stop"]) {
      const chat = await open();
      const page = await chat.openTab();
      const asked = page.sendMessage({ text: "Why do tides turn?" });
      await chat.say("The moon ");
      if (leave === "stop") await page.stop();
      else chat.server.disconnect();
      await asked;
      await chat.say("pulls.");
      await chat.finish();
      await eventually("the answer is stored", async () => (await chat.stored())?.length === 2);
      expect(page.version.current).toBe(1);
      await page.resumeStream();
      expect(page.version.current).toBe(2);
      // The client of ai 5 shows it twice until the page is loaded again.
      if (name !== "ai 5") expect(shown(page)).toEqual(await chat.stored());
    }
  });

  test("a page that gets a stored answer as news runs no tool that has its output, and the one that waits", async () => {
    const call = (toolCallId: string, state: object) => ({ type: "tool-whereAmI", toolCallId, input: {}, ...state });
    const question = say("user", "Why?", "q1");
    const chat = await open([question]);
    const page = await chat.openTab();
    const parts = [
      { type: "step-start" },
      call("t1", { state: "output-available", output: "Hamburg" }),
      { type: "dynamic-tool", toolName: "look", toolCallId: "t2", state: "output-error", input: {}, errorText: "No." },
      call("t3", { state: "input-available" }),
    ];
    await store.upsertChat({
      ...chat.ids,
      messages: [question, { id: "a1", role: "assistant", parts } as ai.UIMessage],
    });
    await page.resumeStream();
    expect(shown(page)).toEqual(await chat.stored());
    expect(page.heard).toEqual(["tool whereAmI", expect.stringMatching(/^finish/)]);
  });
});
