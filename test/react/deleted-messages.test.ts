import { describe, expect } from "vitest";
import { conversation } from "../support/conversations.ts";
import { type App, type Tab, test } from "../support/react-page.ts";

describe.concurrent("A message that the page deletes", () => {
  /** Opens a chat of nine messages, in pages of two, and loads all of them. */
  async function openWhole(open: () => Promise<App>) {
    const app = await open();
    const chatId = await app.addChat(conversation(9));
    const tab = await app.openTab({ chat: { id: chatId, pageSize: 2 } });
    await tab.ready();
    for (let count = 0; count < 4; count++) await tab.call("loadOlder");
    await app.expectShown(chatId, tab);
    return { app, chatId, tab };
  }

  const deleteMessage = (tab: Tab, ...ids: [chatId: string, messageId: string]) =>
    tab.page.evaluate((ids) => {
      const { client } = globalThis as unknown as { client: { deleteMessage(...ids: string[]): Promise<unknown> } };
      return client.deleteMessage(...ids).then(() => {});
    }, ids);

  test("goes, also if it is the first one of the chat", async ({ open }) => {
    const { app, chatId, tab } = await openWhole(open);
    await deleteMessage(tab, chatId, "m0");
    expect(await app.expectShown(chatId, tab)).toHaveLength(8);
    await deleteMessage(tab, chatId, "m4");
    expect(await app.expectShown(chatId, tab)).toHaveLength(7);
  });

  test("while an answer arrives goes after it, also from an older page", async ({ open }) => {
    const { app, chatId, tab } = await openWhole(open);
    await tab.ask("Why?");
    const voice = await app.voice();
    voice.say("Be");
    await tab.shows("Be");
    await deleteMessage(tab, chatId, "m2");
    voice.say("cause.");
    voice.finish();
    expect(await app.expectShown(chatId, tab)).toHaveLength(10);
  });
});
