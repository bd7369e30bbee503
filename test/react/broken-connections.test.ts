import { randomUUID } from "node:crypto";
import type { UIMessage } from "ai";
import { describe, expect } from "vitest";
import { z } from "zod";
import { eventually } from "../support/eventually.ts";
import { type App, matrix, type Tab, test } from "../support/react-page.ts";

const postsOf = ({ requests }: App) => requests.filter((request) => request.startsWith("POST"));

/** Cuts the connection, and waits until the page receives the answer again. */
async function cut(app: App, tab: Tab) {
  const errors = async () => (await tab.heard()).filter((what) => what === "error network").length;
  const before = await errors();
  app.server.disconnect();
  await eventually("the page knows that the connection is lost", async () => (await errors()) > before);
  await tab.until("it receives the answer again", ({ status }) => status === "streaming");
}

describe.concurrent.each(matrix)("A broken connection with React $react and ai $ai", (versions) => {
  test("before the first word", async ({ open }) => {
    const app = await open({}, versions);
    const chatId = randomUUID();
    const tab = await app.openTab({ chat: { id: chatId, page: null } });
    await tab.ask("Why?");
    const voice = await app.voice();
    app.server.disconnect();
    await tab.hasLostConnection();
    voice.say("Because.");
    await tab.shows("Because.");
    voice.finish();
    expect(await app.expectShown(chatId, tab)).toHaveLength(2);
    expect(postsOf(app)).toHaveLength(1);
  });

  test("in the middle of an answer", async ({ open }) => {
    const app = await open({}, versions);
    const chatId = await app.addChat();
    const tab = await app.openTab({ chat: { id: chatId } });
    await tab.ready();
    await tab.ask("Why?");
    const voice = await app.voice();
    voice.say("The moon ");
    await tab.shows("The moon ");
    await cut(app, tab);
    expect((await tab.read()).texts).toEqual(["Hi", "Hello.", "Why?", "The moon "]);
    voice.say("pulls.");
    await tab.shows("The moon pulls.");
    voice.finish();
    expect(await app.expectShown(chatId, tab)).toHaveLength(4);
    expect(postsOf(app)).toHaveLength(1);
  });

  test("before the answer's end is stored while nobody is connected", async ({ open }) => {
    const app = await open({}, versions);
    const chatId = await app.addChat();
    const tab = await app.openTab({ chat: { id: chatId } });
    await tab.ready();
    await tab.ask("Why?");
    const voice = await app.voice();
    voice.say("The moon ");
    await tab.shows("The moon ");
    await app.server.close();
    await tab.until(
      "it joins the answer again",
      ({ error, isReconnecting }) => isReconnecting && error?.code === "network",
    );
    voice.say("pulls.");
    voice.finish();
    await eventually("the answer is stored", app.isIdle);
    await app.server.comeBack();
    await app.expectShown(chatId, tab);
    expect(await tab.read()).toMatchObject({
      texts: ["Hi", "Hello.", "Why?", "The moon pulls."],
      isReconnecting: false,
    });
    const commits = await tab.commits();
    const first = commits.findIndex(({ texts }) => texts.at(-1) === "The moon ");
    const lengths = commits.slice(first).map(({ texts }) => texts.length);
    expect(Math.min(...lengths), "the half answer stays until the whole one is there").toBe(4);
  });

  test("in the input of a tool call", async ({ open }) => {
    const app = await open({ tools: { whereAmI: { inputSchema: z.object({}) } } }, versions);
    const chatId = await app.addChat();
    const tab = await app.openTab({ chat: { id: chatId } });
    await tab.ready();
    await tab.ask("Where am I?");
    const voice = await app.voice();
    voice.speak({ type: "tool-input-start", id: "t1", toolName: "whereAmI" });
    voice.speak({ type: "tool-input-delta", id: "t1", delta: '{"pre' });
    const state = "input-streaming";
    const isCalling = ({ messages }: { messages: UIMessage[] }) =>
      messages.at(-1)?.parts.some((part) => "state" in part && part.state === state);
    await tab.until("it shows the call", isCalling);
    await cut(app, tab);
    await tab.until("it shows the call again", isCalling);
    voice.speak({ type: "tool-input-delta", id: "t1", delta: 'cise":true}' }, { type: "tool-input-end", id: "t1" });
    voice.speak({ type: "tool-call", toolCallId: "t1", toolName: "whereAmI", input: '{"precise":true}' });
    voice.finish("tool-calls");
    const messages = await app.expectShown(chatId, tab);
    expect(messages.at(-1)?.parts.filter(({ type }) => type === "tool-whereAmI")).toHaveLength(1);
    expect((await tab.heard()).filter((what) => what.startsWith("tool"))).toEqual(["tool t1"]);
  });

  test.skipIf(versions.ai === 5)("in a continuation after an approval", async ({ open }) => {
    const runs: string[] = [];
    const execute = async () => {
      runs.push("removed");
      return "removed";
    };
    const remove = { inputSchema: z.object({}), needsApproval: true, execute };
    const app = await open({ tools: { remove } }, versions);
    const chatId = await app.addChat();
    const tab = await app.openTab({ chat: { id: chatId, sendAutomatically: "approvals" } });
    await tab.ready();
    await tab.ask("Remove it.");
    const voice = await app.voice();
    voice.say("Shall I? ");
    voice.call("remove", "t1");
    voice.finish("tool-calls");
    const [, , , asking] = await app.expectShown(chatId, tab);
    const { approval } = (asking?.parts.at(-1) ?? {}) as { approval?: { id: string } };
    await tab.call("addToolApprovalResponse", [{ id: approval?.id, approved: true }]);
    const next = await app.voice(2);
    next.say("Gone ");
    await tab.shows("Shall I? Gone ");
    await cut(app, tab);
    next.say("for ever.");
    await tab.shows("Shall I? Gone for ever.");
    next.finish();
    await app.expectShown(chatId, tab);
    expect(runs).toEqual(["removed"]);
    expect(postsOf(app)).toHaveLength(2);
  });

  test("ten times, in an answer with the call of a client tool", async ({ open }) => {
    const app = await open({ tools: { whereAmI: { inputSchema: z.object({}) } } }, versions);
    const chatId = randomUUID();
    const tab = await app.openTab({ chat: { id: chatId, page: null, sendAutomatically: "calls" } });
    await tab.page.evaluate(() => Object.assign(globalThis, { outputs: { t1: "Hamburg" } }));
    await tab.ask("Where am I?");
    const voice = await app.voice();
    let said = "";
    const sayAndCut = async (word: string) => {
      voice.say(word);
      said += word;
      await tab.shows(said);
      await cut(app, tab);
    };
    for (const word of ["one ", "two ", "three ", "four "]) await sayAndCut(word);
    voice.call("whereAmI", "t1");
    voice.call("whereAmI", "t2");
    await eventually("the tools are called", async () => (await tab.heard()).includes("tool t2"));
    for (const word of ["five ", "six ", "seven "]) await sayAndCut(word);
    await tab.call("addToolOutput", [{ tool: "whereAmI", toolCallId: "t2", output: "Altona" }]);
    for (const word of ["eight ", "nine ", "ten "]) await sayAndCut(word);
    voice.finish("tool-calls");
    const next = await app.voice(2);
    expect(JSON.stringify(next.prompt)).toContain("Altona");
    next.say("In Altona.");
    next.finish();
    const [, answer] = await app.expectShown(chatId, tab);
    expect(answer?.parts).toContainEqual(expect.objectContaining({ toolCallId: "t1", output: "Hamburg" }));
    expect(answer?.parts).toContainEqual(expect.objectContaining({ toolCallId: "t2", output: "Altona" }));
    expect((await tab.heard()).filter((what) => what.startsWith("tool"))).toEqual(["tool t1", "tool t2"]);
    expect(postsOf(app)).toHaveLength(2);
    expect(app.voices).toHaveLength(2);
  });
});
