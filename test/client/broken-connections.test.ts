import { describe, expect, test } from "vitest";
import { textOf } from "../support/conversations.ts";
import { eventually } from "../support/eventually.ts";
import { liveChats } from "../support/live-chat.ts";
import { sdks } from "../support/sdks.ts";

describe.concurrent.each(sdks)("A broken connection of the client with $name", (sdk) => {
  const open = liveChats(sdk);

  /** What the SDK itself does when a page that was disconnected is visible or online again. */
  const resumeAfterDisconnect = (page: object) =>
    (page as { "~resumeStreamIfDisconnected"(): Promise<void> })["~resumeStreamIfDisconnected"]();

  test.each(["while it is generated", "after it was stored"])(
    "the SDK's own resume shows the whole answer %s",
    async (when) => {
      const chat = await open();
      const page = await chat.openTab({ isNew: true });
      const asked = page.sendMessage({ text: "Why do tides turn?" });
      const voice = await chat.voice();
      voice.say("The moon ");
      await page.shows("The moon ");
      chat.server.disconnect();
      await asked;
      expect(page.status).toBe("error");
      expect(page.error).toBeInstanceOf(chat.ChatRequestError);
      expect(page.error).toBeInstanceOf(TypeError);
      expect(page.error).toMatchObject({ code: "network", status: 0, retryAfter: null });
      expect(page.heard).toEqual(["finish isDisconnect isError"]);
      expect(voice.signal?.aborted).toBe(false);

      const end = () => {
        voice.say("pulls.");
        voice.finish();
      };
      if (when === "after it was stored") {
        end();
        await eventually("the answer is stored", async () => (await chat.stored()).length === 2);
      }
      const resumed = resumeAfterDisconnect(page);
      if (when === "while it is generated") end();
      await resumed;
      expect(page.status).toBe("ready");
      expect(page.heard).toEqual(["finish isDisconnect isError", "finish"]);
      // The client of ai 5 shows the beginning twice until the page is loaded again.
      const tab = sdk.name === "ai 5" ? await chat.openTab() : page;
      expect((await chat.expectShown(tab)).map(textOf)).toEqual(["Why do tides turn?", "The moon pulls."]);
      page.heard.length = 0;
      await page.resumeStream();
      expect(page.heard).toEqual(sdk.name === "ai 5" ? ["finish"] : []);
    },
  );

  test("a resumed answer that breaks off, too, is resumed again", async () => {
    const chat = await open();
    const asking = await chat.openTab({ isNew: true });
    const asked = asking.sendMessage({ text: "Why?" });
    const voice = await chat.voice();
    voice.say("The moon ");
    await asking.shows("The moon ");
    const page = await chat.openTab();
    const resumed = page.resumeStream();
    await page.shows("The moon ");
    chat.server.disconnect();
    await Promise.all([asked, resumed]);
    expect(page.error).toBeInstanceOf(chat.ChatRequestError);
    expect(page.error).toMatchObject({ code: "network" });
    const again = resumeAfterDisconnect(page);
    voice.say("pulls.");
    voice.finish();
    await again;
    const tab = sdk.name === "ai 5" ? await chat.openTab() : page;
    expect(textOf((await chat.expectShown(tab)).at(-1))).toBe("The moon pulls.");
  });

  test("a question that is sent offline is an error of the network, and reaches the server with the next try", async () => {
    const network = { isDown: true };
    const chat = await open({
      client: {
        fetch: (url, init) => (network.isDown ? Promise.reject(new TypeError("Load failed")) : fetch(url, init)),
      },
    });
    const page = await chat.openTab({ isNew: true, version: 0 }).catch((error: unknown) => error);
    expect(page).not.toBeInstanceOf(Error);
    const tab = page as Awaited<ReturnType<typeof chat.openTab>>;
    await tab.sendMessage({ text: "Why?" });
    expect(tab.error).toBeInstanceOf(chat.ChatRequestError);
    expect(tab.error).toBeInstanceOf(TypeError);
    expect(tab.error).toMatchObject({ code: "network", status: 0, cause: new TypeError("Load failed") });
    expect(tab.heard).toEqual(["finish isDisconnect isError"]);
    await tab.resumeStream();
    expect(tab.error).toMatchObject({ code: "network" });
    await expect(chat.client.list()).rejects.toMatchObject({ code: "network", status: 0 });
    network.isDown = false;
    const asked = tab.regenerate();
    const voice = await chat.voice();
    voice.say("Because.");
    voice.finish();
    await asked;
    expect(tab.error).toBe(undefined);
    expect((await chat.expectShown(tab)).map(textOf)).toEqual(["Why?", "Because."]);
  });

  test("the recording becomes the answer when the server has died", async () => {
    const chat = await open();
    const asking = await chat.openTab({ isNew: true });
    const asked = asking.sendMessage({ text: "Why do tides turn?" });
    const voice = await chat.voice();
    voice.say("The moon ");
    const attached = await chat.openTab();
    const resumed = attached.resumeStream();
    // From the recording, so that it is there.
    await attached.shows("The moon ");
    await chat.die();
    // Another process serves the pages now.
    const other = await open({ store: chat.store });
    const client = other.createClient();
    chat.server.disconnect();
    await Promise.all([asked, resumed]);
    for (const tab of [asking, attached]) {
      expect(tab.error).toBeInstanceOf(chat.ChatRequestError);
      expect(tab.error).toMatchObject({ code: "network" });
    }
    const reloaded = await chat.openTab({ client });
    await reloaded.resumeStream();
    expect(textOf(reloaded.messages.at(-1))).toBe("The moon ");
    const stored = await chat.stored();
    expect(stored.map(textOf)).toEqual(["Why do tides turn?", "The moon "]);
    expect(reloaded.messages.at(-1)?.id).toBe(stored.at(-1)?.id);
    const fresh = await chat.openTab({ client });
    await fresh.resumeStream();
    await chat.expectShown(fresh);
    chat.comeBack();
    voice.finish();
  });
});
