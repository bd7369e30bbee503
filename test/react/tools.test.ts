import type { UIMessage } from "ai";
import { describe, expect } from "vitest";
import { z } from "zod";
import { type App, test } from "../support/react-page.ts";

const inputSchema = z.object({});

describe.concurrent("What the user has answered to tools", () => {
  async function openWithCalls(open: (options?: object) => Promise<App>, sendAutomatically?: string) {
    const runs: string[] = [];
    const remove = {
      inputSchema,
      needsApproval: true,
      execute: async () => {
        runs.push("removed");
        return "removed";
      },
    };
    const app = await open({ tools: { whereAmI: { inputSchema }, remove } });
    const chatId = await app.addChat();
    const tab = await app.openTab({ chat: { id: chatId, sendAutomatically } });
    await app.expectShown(chatId, tab);
    await tab.ask("Where am I?");
    const voice = await app.voice();
    const call = async (...tools: [string, string][]) => {
      for (const [name, id] of tools) voice.call(name, id);
      voice.finish("tool-calls");
      return app.expectShown(chatId, tab);
    };
    return { app, chatId, tab, call, runs };
  }

  const stateOf = ({ messages }: { messages: UIMessage[] }, toolCallId: string) =>
    (messages
      .find(({ parts }) => parts.some((part) => "toolCallId" in part && part.toolCallId === toolCallId))
      ?.parts.find((part) => "toolCallId" in part && part.toolCallId === toolCallId) ?? {}) as {
      state?: string;
      output?: unknown;
      approval?: { id: string };
    };

  test("and not sent yet survives a refresh", async ({ open }) => {
    const { app, chatId, tab, call } = await openWithCalls(open);
    const messages = await call(["whereAmI", "t1"], ["whereAmI", "t2"], ["remove", "t3"]);
    await tab.call("addToolOutput", [{ tool: "whereAmI", toolCallId: "t1", output: "Hamburg" }]);
    const { approval } = stateOf({ messages }, "t3");
    await tab.call("addToolApprovalResponse", [{ id: approval?.id, approved: true }]);
    await app.store.updateMessage({
      userId: app.userId,
      chatId,
      message: { ...(messages[0] as UIMessage), parts: [{ type: "text", text: "Hi!" }] },
    });
    await tab.comeBack();
    await tab.until("the other change is there", ({ texts }) => texts[0] === "Hi!");
    const view = await tab.read();
    expect(stateOf(view, "t1")).toMatchObject({ state: "output-available", output: "Hamburg" });
    expect(stateOf(view, "t2")).toMatchObject({ state: "input-available" });
    expect(stateOf(view, "t3")).toMatchObject({ state: "approval-responded" });
    expect(app.voices).toHaveLength(1);
  });

  test("is sent once when the connection breaks while it is sent", async ({ open }) => {
    const { app, chatId, tab, call } = await openWithCalls(open, "calls");
    await call(["whereAmI", "t1"]);
    await app.server.close();
    await tab.call("addToolOutput", [{ tool: "whereAmI", toolCallId: "t1", output: "Hamburg" }]);
    await tab.until("the connection is lost", ({ error }) => error?.code === "network");
    await app.server.comeBack();
    const voice = await app.voice(2);
    voice.say("In Hamburg.");
    voice.finish();
    await app.expectShown(chatId, tab);
    expect((await tab.read()).texts.at(-1)).toBe("In Hamburg.");
    expect(app.voices).toHaveLength(2);
  });

  test("is sent once when only the response was lost", async ({ open }) => {
    const { app, chatId, tab, call } = await openWithCalls(open, "calls");
    await call(["whereAmI", "t1"]);
    app.intercept(async (request, next) => {
      const response = await next(request);
      if (request.method === "POST") await app.server.close();
      return response;
    });
    await tab.call("addToolOutput", [{ tool: "whereAmI", toolCallId: "t1", output: "Hamburg" }]);
    await tab.until("the connection is lost", ({ error }) => error?.code === "network");
    app.intercept((request, next) => next(request));
    await app.server.comeBack();
    const voice = await app.voice(2);
    voice.say("In Hamburg.");
    await tab.shows("In Hamburg.");
    voice.finish();
    await app.expectShown(chatId, tab);
    expect(app.requests.filter((name) => name.startsWith("POST")).length).toBeLessThanOrEqual(3);
    expect(app.voices).toHaveLength(2);
  });

  test("of an approval is sent once when the connection breaks while it is sent", async ({ open }) => {
    const { app, chatId, tab, call, runs } = await openWithCalls(open, "approvals");
    const messages = await call(["remove", "t3"]);
    await app.server.close();
    const { approval } = stateOf({ messages }, "t3");
    await tab.call("addToolApprovalResponse", [{ id: approval?.id, approved: true }]);
    await tab.until("the connection is lost", ({ error }) => error?.code === "network");
    await app.server.comeBack();
    const voice = await app.voice(2);
    voice.say("Gone.");
    voice.finish();
    await app.expectShown(chatId, tab);
    expect(runs).toEqual(["removed"]);
    expect(app.voices).toHaveLength(2);
  });

  test("is forgotten when another tab has continued the answer", async ({ open }) => {
    const { app, chatId, tab, call } = await openWithCalls(open);
    await call(["whereAmI", "t1"], ["whereAmI", "t2"]);
    await tab.call("addToolOutput", [{ tool: "whereAmI", toolCallId: "t1", output: "Hamburg" }]);
    const other = await app.openTab({ chat: { id: chatId, sendAutomatically: "calls" } });
    await app.expectShown(chatId, other);
    for (const toolCallId of ["t1", "t2"])
      await other.call("addToolOutput", [{ tool: "whereAmI", toolCallId, output: "Altona" }]);
    const voice = await app.voice(2);
    voice.say("In Altona.");
    voice.finish();
    await app.expectShown(chatId, other);
    await app.expectShown(chatId, tab);
  });

  test("is called once on a page that is loaded while the call is waiting", async ({ open }) => {
    const { app, chatId, tab, call } = await openWithCalls(open);
    await call(["whereAmI", "t1"]);
    const other = await app.openTab({ chat: { id: chatId } });
    await app.expectShown(chatId, other);
    // The SDK calls tools of answers that arrive, and none of answers that are loaded.
    expect((await other.heard()).filter((what) => what.startsWith("tool"))).toEqual([]);
    expect((await tab.heard()).filter((what) => what.startsWith("tool"))).toEqual(["tool t1"]);
  });
});
