import { describe, expect, test } from "vitest";
import { z } from "zod";
import { say } from "../support/conversations.ts";
import { eventually } from "../support/eventually.ts";
import { liveChats } from "../support/live-chat.ts";
import { type Sdk, sdks } from "../support/sdks.ts";

describe.concurrent.each(sdks)("The end of an answer through the client with $name", (sdk) => {
  const open = liveChats(sdk);

  /** The client of ai 5 calls `onFinish` also where there is nothing to resume. */
  const nothing = sdk.name === "ai 5" ? [expect.stringMatching(/^finish/)] : [];

  /** A page that has sent the output of its tool by itself, so that the model is asked a second time. */
  async function openContinuing() {
    const chat = await open({ tools: { whereAmI: { inputSchema: z.object({}) } } });
    const page = await chat.openTab({
      isNew: true,
      sendAutomaticallyWhen: sdk.ai.lastAssistantMessageIsCompleteWithToolCalls,
    });
    const asked = page.sendMessage({ text: "Where am I?" });
    const voice = await chat.voice();
    voice.call("whereAmI");
    voice.finish("tool-calls");
    await asked;
    page.heard.length = 0;
    void page.addToolOutput({ tool: "whereAmI", toolCallId: "t1", output: "Hamburg" });
    const next = await chat.voice(2);
    const ended = () => eventually("the page has heard of the end", () => page.heard.length > 0);
    return { chat, page, next, ended };
  }

  test("a stop before the first word of a continued answer does not send the tool's output again", async () => {
    const { chat, page, ended } = await openContinuing();
    expect(await chat.client.stop(chat.chatId)).toBe(true);
    await ended();
    await eventually("the page waits or is ready", () => page.status === "ready" || chat.voices.length > 2);
    await chat.expectShown(page);
    expect(chat.voices).toHaveLength(2);
    expect(page.heard).toEqual(["finish isAbort"]);
  });

  test("a model that adds nothing to a continued answer is not asked again", async () => {
    const { chat, page, next, ended } = await openContinuing();
    next.finish();
    await ended();
    await eventually("the page waits or is ready", () => page.status === "ready" || chat.voices.length > 2);
    await chat.expectShown(page);
    expect(chat.voices).toHaveLength(2);
  });

  test("parts that follow an error are news for the page, because the SDK reads no further", async () => {
    const chunks = [
      { type: "start" },
      { type: "text-start", id: "1" },
      { type: "text-delta", id: "1", delta: "One." },
      { type: "error", errorText: "A fault" },
      { type: "text-delta", id: "1", delta: " Two." },
      { type: "text-end", id: "1" },
      { type: "finish" },
    ] as never[];
    const chat = await open({ answer: () => ReadableStream.from(chunks) });
    const events: unknown[] = [];
    chat.client.subscribe((event) => void events.push(event));
    const page = await chat.openTab({ isNew: true });
    await page.sendMessage({ text: "Why?" });
    expect(page.status).toBe("error");
    await eventually("the client has read the end of the answer", () => events.length === 2);
    await page.resumeStream();
    await chat.expectShown(page);
  });

  test("a message that the page deletes while it receives an answer does not make that answer news", async () => {
    const chat = await open({ messages: [say("user", "Hi", "m1"), say("assistant", "Hi!", "m2")] });
    const page = await chat.openTab();
    const asked = page.sendMessage({ text: "Why?" });
    const voice = await chat.voice();
    voice.say("Because.");
    await page.shows("Because.");
    await chat.client.deleteMessage(chat.chatId, "m1");
    voice.finish();
    await asked;
    page.messages = page.messages.slice(1);
    page.heard.length = 0;
    await page.resumeStream();
    expect(page.heard).toEqual(nothing);
    await chat.expectShown(page);
  });
});

describe("The queue of ai 7", () => {
  const open = liveChats(sdks.at(-1) as Sdk);

  test("waits after a stop, as after the stop of useChat", async () => {
    const chat = await open();
    const page = await chat.openTab({ isNew: true, experimental_queue: true });
    const asked = page.sendMessage({ text: "One?" });
    const voice = await chat.voice();
    voice.say("One");
    await page.shows("One");
    void page.sendMessage({ text: "Two?" });
    expect(await chat.client.stop(chat.chatId)).toBe(true);
    await Promise.race([asked, chat.voice(2)]);
    await chat.expectShown(page);
    expect(chat.voices).toHaveLength(1);
    expect(page.experimental_queuedMessages).toHaveLength(1);
  });
});
