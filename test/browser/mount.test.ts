import { describe, expect } from "vitest";
import {
  answered,
  ask,
  askAndHold,
  becomeKnown,
  chatIdOf,
  open,
  request,
  server,
  test,
  user,
} from "../support/browser.ts";

describe("the handler, mounted in Next", () => {
  const url = (id = "") => `${server.url}/api/chat${id && `/${encodeURIComponent(id)}`}`;

  test.each(["a/b", "100%", "%2F", "what?", "#1", "two words", "ü 😀", "stream", "fork", "c".repeat(255)])(
    "a chat can have the id %.20s",
    async (id) => {
      await becomeKnown(user);
      const message = { id: `question to ${id}`.slice(0, 255), role: "user", parts: [{ type: "text", text: "Hi" }] };
      expect((await user.request.post(url(), { data: { id, message } })).status()).toBe(200);
      const page = await (await user.request.get(url(id))).json();
      expect(page).toMatchObject({ chat: { id, title: "Hi" }, messages: [message, { role: "assistant" }] });
      expect((await user.request.patch(url(id), { data: { title: "Hello" } })).status()).toBe(200);
      const { chats } = await (await user.request.get(url())).json();
      expect(chats).toMatchObject([{ id, title: "Hello" }]);
      const question = `${url(id)}/messages/${encodeURIComponent(message.id)}?following=true`;
      expect(await (await user.request.delete(question)).json()).toMatchObject({ id, title: "Hello" });
      expect((await user.request.delete(url(id))).status()).toBe(204);
      expect((await user.request.get(url(id))).status()).toBe(404);
    },
  );

  test("a page works with an id that a URL has to encode", async () => {
    const page = await open(`/?chatId=${encodeURIComponent("a/b? 100% #ü")}`);
    const texts = await ask(page, "Hi");
    await page.reload();
    expect(await answered(page, 2)).toEqual(texts);
    const held = await askAndHold(page, "And on");
    await page.getByRole("button", { name: "Stop" }).click();
    await held.aborted;
    expect(await answered(page, 4)).toHaveLength(4);
    expect(chatIdOf(page)).toBe("a/b? 100% #ü");
  });

  test("HEAD opens no stream, OPTIONS names the methods, and other methods are refused", async () => {
    const page = await open();
    const held = await askAndHold(page, "Hold on");
    const id = chatIdOf(page);
    const head = await request(user, "HEAD", "/stream", { id });
    expect([head.status(), await head.text()]).toEqual([204, ""]);
    const options = await request(user, "OPTIONS", "", { id });
    expect(options.headers().allow?.split(", ").sort()).toEqual(["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST"]);
    expect((await request(user, "PUT", "", { id, data: {} })).status()).toBe(405);
    expect((await request(user, "POST", "", { id, data: {} })).status()).toBe(405);
    held.finish();
    await answered(page, 2);
  });
});
