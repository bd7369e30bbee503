import { describe, expect, test } from "vitest";
import { say, textOf } from "../support/conversations.ts";
import { liveChats } from "../support/live-chat.ts";
import { sdks } from "../support/sdks.ts";

describe.concurrent.each(sdks)("A conversation through the client with $name", (sdk) => {
  const open = liveChats(sdk);

  test("a page shows the stored messages after several turns, a regenerated answer and an edited question", async () => {
    const chat = await open();
    const page = await chat.openTab({ isNew: true });
    /** The model answers as soon as it is asked. */
    const answer = async (count: number, ...words: string[]) => {
      const voice = await chat.voice(count);
      for (const word of words) voice.say(word);
      voice.finish();
    };

    await Promise.all([page.sendMessage({ text: "Why do tides turn?" }), answer(1, "The ", "moon.")]);
    expect((await chat.expectShown(page)).map(textOf)).toEqual(["Why do tides turn?", "The moon."]);
    expect((await chat.client.get(chat.chatId))?.chat).toMatchObject({ title: "Why do tides turn?", version: 2 });

    await Promise.all([page.sendMessage({ text: "Really?" }), answer(2, "Yes.")]);
    await Promise.all([page.sendMessage({ text: "And the sun?" }), answer(3, "A little.")]);
    expect(await chat.expectShown(page)).toHaveLength(6);

    const regenerated = page.messages.at(-1)?.id;
    await Promise.all([page.regenerate(), answer(4, "Half as much.")]);
    expect((await chat.expectShown(page)).map(textOf).slice(-2)).toEqual(["And the sun?", "Half as much."]);
    expect(page.messages.at(-1)?.id).not.toBe(regenerated);

    // An answer in the middle, and then a question in the middle.
    await Promise.all([page.regenerate({ messageId: page.messages[3]?.id as string }), answer(5, "Really.")]);
    expect((await chat.expectShown(page)).map(textOf)).toEqual([
      "Why do tides turn?",
      "The moon.",
      "Really?",
      "Really.",
    ]);
    const messageId = page.messages[0]?.id as string;
    await Promise.all([page.sendMessage({ text: "Why is it dark?", messageId }), answer(6, "Night.")]);
    const stored = await chat.expectShown(page, await chat.openTab());
    expect(stored.map(textOf)).toEqual(["Why is it dark?", "Night."]);
    expect(stored[0]?.id).toBe(messageId);
    expect(page.heard).toEqual(Array(6).fill("finish"));
    expect(chat.faults).toEqual([]);
  });

  test.each(["before it arrives", "after it was stored"])(
    "a question whose POST fails %s is stored once when the user tries again",
    async (when) => {
      const network = { isDown: true };
      const chat = await open({
        client: {
          fetch: async (url, init) => {
            if (network.isDown && when === "before it arrives") throw new TypeError("Failed to fetch");
            const response = await fetch(url, init);
            if (network.isDown) throw new TypeError("Failed to fetch");
            return response;
          },
        },
      });
      const page = await chat.openTab({ isNew: true });
      await page.sendMessage({ text: "Hello" });
      expect(page).toMatchObject({ status: "error", error: { code: "network", status: 0 } });
      network.isDown = false;
      const asked = page.regenerate();
      const voice = await chat.voice(when === "before it arrives" ? 1 : 2);
      voice.say("Hi!");
      voice.finish();
      await asked;
      expect((await chat.expectShown(page)).map(textOf)).toEqual(["Hello", "Hi!"]);
    },
  );

  test("a reloaded page, a second tab and a tab that joins at the end show the stored messages", async () => {
    const chat = await open();
    const asking = await chat.openTab({ isNew: true });
    const asked = asking.sendMessage({ text: "Why do tides turn?" });
    const voice = await chat.voice();
    voice.say("The moon ");
    await asking.shows("The moon ");
    const [reloaded, second] = [await chat.openTab(), await chat.openTab({ client: chat.createClient() })];
    const late = await chat.openTab({ client: chat.createClient() });
    const resumed = [reloaded.resumeStream(), second.resumeStream()];
    await Promise.all([reloaded.shows("The moon "), second.shows("The moon ")]);
    voice.say("pulls.");
    voice.finish();
    await Promise.all([asked, ...resumed]);
    await late.resumeStream();
    const tabs = [asking, reloaded, second, late];
    expect((await chat.expectShown(...tabs)).map(textOf)).toEqual(["Why do tides turn?", "The moon pulls."]);
    // Nothing is left to resume, and nothing is shown twice.
    await Promise.all(tabs.map((tab) => tab.resumeStream()));
    await chat.expectShown(...tabs);
  });

  test("both questions are stored with their answers if two tabs ask at once", async () => {
    const before = [say("user", "Hello", "m1"), say("assistant", "Hi!", "m2")];
    const chat = await open({ messages: before });
    const tabs = [await chat.openTab(), await chat.openTab({ client: chat.createClient() })];
    const asked = tabs.map((tab, at) => tab.sendMessage({ text: `Question ${at}` }));
    const voices = [await chat.voice(1), await chat.voice(2)];
    for (const voice of voices) {
      // Of the two, the later one reads the other's question, too.
      const question = JSON.stringify(voice.prompt).match(/Question \d(?!.*Question)/)?.[0];
      voice.say(`Answer to ${question}`);
      voice.finish();
    }
    await Promise.all(asked);
    const reloaded = await chat.openTab();
    const stored = await chat.expectShown(reloaded);
    expect(stored).toHaveLength(6);
    expect(stored.slice(0, 2)).toEqual(before);
    for (const tab of tabs) {
      // A tab shows its own turn; the answer of the other one comes with the next load.
      expect(stored).toEqual(expect.arrayContaining(JSON.parse(JSON.stringify(tab.messages))));
      expect(tab.messages).toHaveLength(4);
      expect(tab.status).toBe("ready");
    }
    const fresh = await chat.openTab();
    const again = fresh.sendMessage({ text: "And now?" });
    const voice = await chat.voice(3);
    voice.say("Now.");
    voice.finish();
    await again;
    expect(await chat.expectShown(fresh)).toHaveLength(8);
  });
});
