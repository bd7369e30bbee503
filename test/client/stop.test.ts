import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { textOf } from "../support/conversations.ts";
import { eventually } from "../support/eventually.ts";
import { liveChats, type Voice } from "../support/live-chat.ts";
import { sdks } from "../support/sdks.ts";

describe.concurrent.each(sdks)("The client's stop with $name", (sdk) => {
  const open = liveChats(sdk);

  const aborted = (signal: AbortSignal | undefined) => eventually("the signal aborts", () => signal?.aborted);

  /** Talks until it is stopped. */
  async function talk(voice: Voice): Promise<void> {
    for (let count = 0; !voice.signal?.aborted; count++) {
      voice.say(`word${count} `);
      await sleep(10);
    }
  }

  const delays = [0, 20, 200];
  const kinds = ["that is silent", "that talks", "after a look-up of 300 ms"];
  test.each(kinds)("stops a model %s, 0, 20 and 200 ms after each question", async (kind) => {
    const signals: AbortSignal[] = [];
    const chat = await open({
      answer: async ({ modelMessages, abortSignal }) => {
        signals.push(abortSignal);
        if (kind === "after a look-up of 300 ms") await sleep(300);
        return chat.answerWith(modelMessages, abortSignal);
      },
    });
    const page = await chat.openTab({ isNew: true });
    for (const [index, delay] of delays.entries()) {
      const asked = page.sendMessage({ text: `Why? ${index}` });
      const talked = kind === "that is silent" ? undefined : chat.voice(index + 1).then(talk);
      await sleep(delay);
      expect(await chat.client.stop(chat.chatId)).toBe(true);
      await Promise.all([asked, talked]);
      await aborted(signals[index]);
      await chat.expectShown(page);
    }
    expect(signals).toHaveLength(3);
    const stored = await chat.expectShown(page, await chat.openTab());
    const questions = stored.filter(({ role }) => role === "user").map(textOf);
    expect(questions).toEqual(["Why? 0", "Why? 1", "Why? 2"]);
    // What was said before the stop is kept, and an answer without a word is not.
    if (kind === "that is silent") expect(stored).toHaveLength(3);
    else expect(stored.slice(1).every((message) => textOf(message) !== "")).toBe(true);
    await page.resumeStream();
    await chat.expectShown(page);
    expect(chat.faults).toEqual([]);
  });

  test("stops the answer in the tab that asks, in another one and on a resumed page, whichever is pressed", async () => {
    const chat = await open();
    for (const [index, pressed] of (["asking", "other", "resumed"] as const).entries()) {
      const asking = await chat.openTab();
      const asked = asking.sendMessage({ text: "Why?" });
      const voice = await chat.voice(index + 1);
      voice.say("The moon ");
      await asking.shows("The moon ");
      const clients = { asking: chat.client, other: chat.createClient(), resumed: chat.createClient() };
      const resumed = await chat.openTab({ client: clients.resumed });
      const resuming = resumed.resumeStream();
      await resumed.shows("The moon ");
      expect(await clients[pressed].stop(chat.chatId)).toBe(true);
      await Promise.all([asked, resuming, aborted(voice.signal)]);
      expect(textOf((await chat.expectShown(asking, resumed)).at(-1))).toBe("The moon ");
    }
  });

  test("stops during a tool call, and the model gets the call's signal", async () => {
    const calls: (AbortSignal | undefined)[] = [];
    const look = {
      inputSchema: z.object({}),
      execute: (_: object, { abortSignal }: { abortSignal?: AbortSignal }) => {
        calls.push(abortSignal);
        return new Promise((_, reject) => abortSignal?.addEventListener("abort", () => reject(abortSignal.reason)));
      },
    };
    const chat = await open({ tools: { look } });
    const page = await chat.openTab({ isNew: true });
    const asked = page.sendMessage({ text: "Look!" });
    const voice = await chat.voice();
    voice.say("Wait. ");
    voice.call("look");
    voice.finish("tool-calls");
    await eventually("the tool runs", () => calls.length === 1);
    await eventually("the page shows the call", () => page.messages.at(-1)?.parts.at(-1)?.type === "tool-look");
    expect(await chat.client.stop(chat.chatId)).toBe(true);
    await Promise.all([asked, aborted(calls[0])]);
    const stored = await chat.expectShown(page);
    expect(textOf(stored.at(-1))).toBe("Wait. ");
    // The next question is answered.
    const again = page.sendMessage({ text: "Never mind." });
    const next = await chat.voice(2);
    next.say("Good.");
    next.finish();
    await again;
    await chat.expectShown(page, await chat.openTab());
  });

  test("shows the stored messages if it comes as the answer ends", async () => {
    const chat = await open();
    const page = await chat.openTab({ isNew: true });
    for (let count = 1; count <= 6; count++) {
      const asked = page.sendMessage({ text: "Why?" });
      const voice = await chat.voice(count);
      voice.say("Because.");
      if (count % 2 === 0) await page.shows("Because.");
      voice.finish();
      if (count > 3) await sleep(count * 2);
      const [isStopped] = await Promise.all([chat.client.stop(chat.chatId), asked]);
      expect(isStopped).toBeTypeOf("boolean");
      const stored = await chat.expectShown(page);
      expect(textOf(stored.at(-1))).toBe("Because.");
    }
  });

  test("stops nothing where nothing runs", async () => {
    const chat = await open();
    expect(await chat.client.stop(chat.chatId)).toBe(false);
    const page = await chat.openTab({ isNew: true });
    const asked = page.sendMessage({ text: "Why?" });
    const voice = await chat.voice();
    voice.say("Because.");
    voice.finish();
    await asked;
    expect(await chat.client.stop(chat.chatId)).toBe(false);
    expect(await chat.client.stop("another chat")).toBe(false);
    await chat.expectShown(page);
  });

  test("leaves an answer alone that this page did not ask for, if it stops one that was stopped already", async () => {
    const chat = await open();
    const [first, second] = [await chat.openTab({ isNew: true }), chat.createClient()];
    const asked = first.sendMessage({ text: "Why?" });
    await chat.voice();
    expect(await Promise.all([chat.client.stop(chat.chatId), second.stop(chat.chatId)])).toContain(true);
    await asked;
    const again = first.sendMessage({ text: "Why not?" });
    const voice = await chat.voice(2);
    voice.say("No reason.");
    voice.finish();
    await again;
    expect(textOf((await chat.expectShown(first)).at(-1))).toBe("No reason.");
  });

  /** How the server fails when it is asked to stop, and the page's request for that. */
  const failures = {
    "is down": () => Promise.reject(new TypeError("Failed to fetch")),
    "responds with an error": () => Promise.resolve(new Response("Bad gateway", { status: 502 })),
    "never responds": (signal: AbortSignal) =>
      new Promise<Response>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
    "never ends its response": (signal: AbortSignal) => {
      const body = new ReadableStream({
        start: (controller) => signal.addEventListener("abort", () => controller.error(signal.reason)),
      });
      return Promise.resolve(new Response(body, { headers: { "content-type": "application/json" } }));
    },
  };
  test.each(Object.entries(failures))("the page stops listening if the server %s", async (kind, fail) => {
    const chat = await open({
      client: {
        fetch: (url, init) => (init?.method === "DELETE" ? fail(init.signal as AbortSignal) : fetch(url, init)),
      },
    });
    const page = await chat.openTab({ isNew: true });
    const asked = page.sendMessage({ text: "Why?" });
    const voice = await chat.voice();
    voice.say("The moon ");
    await page.shows("The moon ");
    const error = await chat.client.stop(chat.chatId).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(chat.ChatRequestError);
    expect(error).toMatchObject(
      kind === "responds with an error" ? { code: "failed", status: 502 } : { code: "network" },
    );
    await asked;
    expect(page.status).toBe("ready");
    expect(textOf(page.messages.at(-1))).toBe("The moon ");
    // The turn goes on, and the page can get the rest.
    expect(voice.signal?.aborted).toBe(false);
    voice.say("pulls.");
    voice.finish();
    const reloaded = await chat.openTab();
    await reloaded.resumeStream();
    expect(textOf((await chat.expectShown(reloaded)).at(-1))).toBe("The moon pulls.");
  });
});
