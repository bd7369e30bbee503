import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { say, textOf } from "../support/conversations.ts";
import { eventually } from "../support/eventually.ts";
import { liveChats, shown, type Tab } from "../support/live-chat.ts";
import { sdks } from "../support/sdks.ts";

describe.concurrent.each(sdks)("Resuming through the client with $name", (sdk) => {
  const open = liveChats(sdk);
  type LiveChat = Awaited<ReturnType<typeof open>>;

  /** The client of ai 5 calls `onFinish` also where there is nothing to resume. */
  const nothing = sdk.name === "ai 5" ? [expect.stringMatching(/^finish/)] : [];

  async function expectNothing(chat: LiveChat, ...tabs: Tab[]): Promise<void> {
    for (const tab of tabs) {
      const before = shown(tab);
      for (let count = 0; count < 2; count++) {
        tab.heard.length = 0;
        await tab.resumeStream();
        expect(tab.heard).toEqual(nothing);
        expect(shown(tab)).toEqual(before);
      }
    }
    await chat.expectShown(...tabs);
  }

  async function ask(chat: LiveChat, tab: Tab, text: string, answer: string): Promise<void> {
    const count = chat.voices.length + 1;
    const asked = tab.sendMessage({ text });
    const voice = await chat.voice(count);
    if (answer) voice.say(answer);
    voice.finish();
    await asked;
  }

  /** A page whose answers trigger all that they can. */
  const whereAmI = { inputSchema: z.object({}) };
  const openTriggering = async (chat: LiveChat) => {
    const sent: number[] = [];
    const page = await chat.openTab({
      sendAutomaticallyWhen: ({ messages }) => {
        sent.push(messages.length);
        return false;
      },
    });
    return { page, sent };
  };

  const turns: Record<string, (chat: LiveChat, page: Tab) => Promise<void>> = {
    "an own turn": (chat, page) => ask(chat, page, "Why?", "Because."),
    "several own turns": async (chat, page) => {
      for (const text of ["One?", "Two?", "Three?"]) await ask(chat, page, text, `${text}!`);
    },
    "a regenerated answer": async (chat, page) => {
      await ask(chat, page, "Why?", "Because.");
      const asked = page.regenerate();
      const voice = await chat.voice(2);
      voice.say("For fun.");
      voice.finish();
      await asked;
    },
    "a client tool": async (chat, page) => {
      const asked = page.sendMessage({ text: "Where am I?" });
      const voice = await chat.voice();
      voice.call("whereAmI");
      voice.finish("tool-calls");
      await asked;
      expect(page.heard).toEqual(["tool whereAmI", "finish"]);
    },
    "a turn that was stopped": async (chat, page) => {
      const asked = page.sendMessage({ text: "Why?" });
      (await chat.voice()).say("The moon ");
      await page.shows("The moon ");
      await chat.client.stop(chat.chatId);
      await asked;
    },
    "a turn that was stopped before its first word": async (chat, page) => {
      await ask(chat, page, "Hello", "Hi!");
      const asked = page.sendMessage({ text: "Why?" });
      await chat.voice(2);
      await chat.client.stop(chat.chatId);
      await asked;
    },
    "an empty answer": async (chat, page) => {
      await ask(chat, page, "Hello", "Hi!");
      await ask(chat, page, "Say nothing.", "");
    },
    "an error of the provider in the middle": async (chat, page) => {
      const events: unknown[] = [];
      chat.client.subscribe((event) => void events.push(event));
      const asked = page.sendMessage({ text: "Why?" });
      const voice = await chat.voice();
      voice.say("The moon ");
      await page.shows("The moon ");
      voice.fail();
      await asked;
      expect(page.status).toBe("error");
      await eventually("the client has read the end of the answer", () => events.length === 2);
    },
    "a resumed answer": async (chat, page) => {
      const asking = await chat.openTab({ client: chat.createClient() });
      const asked = asking.sendMessage({ text: "Why?" });
      const voice = await chat.voice();
      voice.say("The moon ");
      page.messages = shown(asking).slice(0, 3);
      const resumed = page.resumeStream();
      await page.shows("The moon ");
      voice.finish();
      await Promise.all([asked, resumed]);
    },
    "a deleted message": async (chat, page) => {
      await ask(chat, page, "Hello", "Hi!");
      await ask(chat, page, "Why?", "Because.");
      const [first] = page.messages;
      await chat.client.deleteMessage(chat.chatId, first?.id as string);
      page.messages = page.messages.slice(1);
    },
  };
  test.each(Object.entries(turns))("triggers nothing that %s has triggered", async (_, take) => {
    const chat = await open({
      messages: [say("user", "Hi", "m1"), say("assistant", "Hi!", "m2")],
      tools: { whereAmI },
    });
    const { page, sent } = await openTriggering(chat);
    await take(chat, page);
    const before = sent.length;
    await expectNothing(chat, page);
    expect(sent).toHaveLength(before);
    // The page that was just loaded has nothing to resume, either.
    await expectNothing(chat, await chat.openTab());
  });

  test("triggers nothing that data parts have triggered", async () => {
    const chat = await open({
      answer: () =>
        sdk.ai.createUIMessageStream({
          execute: ({ writer }) => {
            writer.write({ type: "data-progress", data: 1, transient: true });
            writer.write({ type: "data-mood", data: "calm" });
            writer.write({ type: "message-metadata", messageMetadata: { cost: 1 } });
          },
        }),
    });
    const page = await chat.openTab({ isNew: true });
    await page.sendMessage({ text: "How are you?" });
    expect(page.heard).toEqual(["data-progress", "data-mood", "finish"]);
    expect((await chat.stored()).at(-1)).toMatchObject({ metadata: { cost: 1 }, parts: [{ type: "data-mood" }] });
    await expectNothing(chat, page);
  });

  test("brings the answer and the regenerated answer of another tab once", async () => {
    const chat = await open({
      messages: [say("user", "Hi", "m1"), say("assistant", "Hi!", "m2"), say("user", "Why?")],
    });
    const [page, other] = [await chat.openTab(), await chat.openTab({ client: chat.createClient() })];
    for (const [index, text] of ["Because.", "For fun."].entries()) {
      const asked = other.regenerate();
      const voice = await chat.voice(index + 1);
      voice.say(text);
      voice.finish();
      await asked;
      if (index === 1) page.messages = page.messages.slice(0, 3);
      page.heard.length = 0;
      await page.resumeStream();
      expect(page.heard).toEqual(["finish"]);
      expect(textOf((await chat.expectShown(page)).at(-1))).toBe(text);
      await expectNothing(chat, page);
    }
  });

  test.each([0, 1])("brings an answer whose response was lost, after %s turns", async (turns) => {
    const network = { isLost: false };
    const chat = await open({
      client: {
        fetch: async (url, init) => {
          const response = await fetch(url, init);
          if (network.isLost) throw new TypeError("Failed to fetch");
          return response;
        },
      },
    });
    const page = await chat.openTab({ isNew: true });
    if (turns > 0) await ask(chat, page, "Hello", "Hi!");
    network.isLost = true;
    const asked = page.sendMessage({ text: "Why?" });
    const voice = await chat.voice(turns + 1);
    voice.say("Because.");
    voice.finish();
    await asked;
    expect(page).toMatchObject({ status: "error", error: { code: "network" } });
    network.isLost = false;
    await eventually("the answer is stored", async () => (await chat.stored()).length === 2 * turns + 2);
    page.heard.length = 0;
    await page.resumeStream();
    expect(page.heard).toEqual(["finish"]);
    expect(textOf((await chat.expectShown(page)).at(-1))).toBe("Because.");
    await expectNothing(chat, page);
  });

  test("an answer stays stopped listening to, and running, when its page is left, until the page is back", async () => {
    const chat = await open();
    const page = await chat.openTab({ isNew: true });
    const asked = page.sendMessage({ text: "Why?" });
    const voice = await chat.voice();
    voice.say("The ");
    await page.shows("The ");
    // What ai 7 does when React unmounts the page or gives it another chat.
    await page.stop();
    await asked;
    const back = await chat.openTab();
    const resumed = back.resumeStream();
    await back.shows("The ");
    voice.say("moon ");
    await back.shows("The moon ");
    await back.stop();
    await resumed;
    expect(voice.signal?.aborted).toBe(false);

    // Another chat of the same client, meanwhile.
    const other = randomUUID();
    expect(await chat.client.get(other)).toBe(null);
    expect(await chat.client.stop(other)).toBe(false);

    const again = await chat.openTab();
    const [first, second] = [again.resumeStream(), again.resumeStream()];
    await again.shows("The moon ");
    voice.say("pulls.");
    voice.finish();
    await Promise.all([first, second]);
    expect(voice.signal?.aborted).toBe(false);
    expect(textOf((await chat.expectShown(again)).at(-1))).toBe("The moon pulls.");
    await expectNothing(chat, again);
  });

  test("a page that stopped listening gets the whole answer as news", async () => {
    const chat = await open();
    const page = await chat.openTab({ isNew: true });
    const asked = page.sendMessage({ text: "Why?" });
    const voice = await chat.voice();
    voice.say("The moon ");
    await page.shows("The moon ");
    await page.stop();
    await asked;
    voice.say("pulls.");
    voice.finish();
    await eventually("the answer is stored", async () => (await chat.stored()).length === 2);
    page.heard.length = 0;
    await page.resumeStream();
    expect(page.heard).toEqual(["finish"]);
    await chat.expectShown(page);
    await expectNothing(chat, page);
  });
});
