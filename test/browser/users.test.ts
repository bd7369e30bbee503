import { describe, expect } from "vitest";
import {
  alertInMain,
  answered,
  ask,
  becomeKnown,
  chatLinks,
  chatOf,
  expectComplaints,
  interactive,
  messageBox,
  messages,
  model,
  newUser,
  open,
  pathOf,
  request,
  server,
  test,
  user,
  userIdOf,
} from "../support/browser.ts";

describe("two users", () => {
  test("two users see nothing of each other, not even by the address of a chat", async () => {
    const page = await open();
    const texts = await ask(page, "My secret is 4711");
    const stranger = await newUser();
    const response = await stranger.request.get(page.url());
    expect(await response.text()).not.toContain("4711");

    const other = await open(pathOf(page), stranger);
    await interactive(other);
    expect(await messages(other).count()).toBe(0);
    expect(await chatLinks(other).count()).toBe(0);
    expect(await other.title()).toBe(await (await open("/", await newUser())).title());

    await messageBox(other).fill("Let me in");
    await messageBox(other).press("Enter");
    await alertInMain(other).waitFor();
    await expectComplaints(["404"]);
    await page.reload();
    expect(await answered(page, 2)).toEqual(texts);
  });

  test("two users cannot change, copy or delete each other's chats", async () => {
    const page = await open();
    const question = page.waitForRequest("**/api/chat");
    const texts = await ask(page, "Mine");
    const { id, message } = (await question).postDataJSON();
    const requests = [
      ["PATCH", "", { title: "Yours" }],
      ["PATCH", "", { archived: true }],
      ["POST", "/fork", { id: "theft", throughMessageId: message.id }],
      ["GET", "", undefined],
      ["GET", `?before=${message.id}`, undefined],
      ["DELETE", `/messages/${message.id}`, undefined],
      ["DELETE", "", undefined],
    ] as const;
    const stranger = await newUser();
    await becomeKnown(stranger);
    for (const [method, path, data] of requests) {
      const response = await request(stranger, method, path, { id, data });
      expect([method, path, response.status()]).toEqual([method, path, 404]);
      // To the letter what the server says about a chat that nobody has.
      const nobody = await request(stranger, method, path, { id: "nobody", data });
      expect([nobody.status(), await nobody.text()]).toEqual([404, await response.text()]);
    }
    expect(await chatLinks(await open("/", stranger)).count()).toBe(0);

    // Nor copy one of their own over it; and whose it is themselves, not twice either.
    const own = { id: crypto.randomUUID(), message };
    expect((await stranger.request.post(`${server.url}/api/chat`, { data: own })).status()).toBe(200);
    const data = { id, throughMessageId: message.id };
    expect((await request(stranger, "POST", "/fork", { id: own.id, data })).status()).toBe(404);
    expect((await request(user, "POST", "/fork", { id, data })).status()).toBe(409);
    await page.reload();
    expect(await answered(page, 2)).toEqual(texts);
    await expect.poll(() => chatLinks(page).allInnerTexts()).toEqual(["Mine"]);
  });

  test("neither a user's id nor a part of their cookie opens their chats", async () => {
    const page = await open(await chatOf(user, ["Mine"]));
    expect(await chatLinks(page).allInnerTexts()).toEqual(["Mine"]);
    const [cookie] = await user.cookies();
    if (!cookie) expect.fail("There is no cookie.");
    expect(cookie).toMatchObject({ httpOnly: true, sameSite: "Lax" });
    for (const value of [await userIdOf(user), cookie.value.slice(1)]) {
      const forger = await newUser();
      await forger.addCookies([{ ...cookie, value }]);
      const forged = await open(pathOf(page), forger);
      await interactive(forged);
      expect(await chatLinks(forged).count()).toBe(0);
      expect(await messages(forged).count()).toBe(0);
    }
  });

  test.each(["a".repeat(300), "%00"])(
    "the server does not find an address that cannot be a chat's: %.5s",
    async (chatId) => {
      const response = await user.request.get(`${server.url}/?chatId=${chatId}`);
      expect(response.status()).toBe(404);
    },
  );
});

describe("requests that do not come from the page", () => {
  const text = [{ type: "text", text: "Hi" }];
  const question = (words = "Hi") => {
    const message = { id: crypto.randomUUID(), role: "user", parts: [{ type: "text", text: words }] };
    return { id: crypto.randomUUID(), message };
  };
  test.beforeEach(() => becomeKnown(user));

  test("the server refuses a question, and all else but reading, from a browser that has opened no page", async () => {
    const stranger = await newUser();
    const asked = model.requests.length;
    for (const [method, path] of [
      ["POST", ""],
      ["DELETE", "/x"],
      ["PATCH", "/x"],
      ["POST", "/x/fork"],
    ] as const) {
      const url = `${server.url}/api/chat${path}`;
      const response = await stranger.request.fetch(url, { method, data: question() });
      expect([method, path, response.status()]).toEqual([method, path, 401]);
    }
    expect(await stranger.cookies()).toEqual([]);
    expect(model.requests.length).toBe(asked);
  });

  test.each(["cross-site", "same-site"])(
    "the server refuses a question from a page of another site: %s",
    async (site) => {
      const ask = (headers: Record<string, string>) =>
        user.request.post(`${server.url}/api/chat`, { headers, data: question() });
      expect((await ask({ "sec-fetch-site": site })).status()).toBe(403);
      expect((await ask({ "sec-fetch-site": "same-origin" })).status()).toBe(200);
    },
  );

  test.each([
    ["no JSON", "{"],
    ["null", "null"],
    ["no message", '{"id":"x"}'],
    ["a number for an id", JSON.stringify({ id: 7, message: { id: "1", role: "user", parts: text } })],
    ["an empty id", JSON.stringify({ id: "", message: { id: "1", role: "user", parts: text } })],
    ["the assistant's words", JSON.stringify({ id: "x", message: { id: "1", role: "assistant", parts: text } })],
    ["unknown parts", JSON.stringify({ id: "x", message: { id: "1", role: "user", parts: [null] } })],
  ])("the server refuses a question with %s", async (_, data) => {
    const headers = { "content-type": "application/json" };
    const response = await user.request.post(`${server.url}/api/chat`, { headers, data: Buffer.from(data) });
    expect(response.status()).toBe(400);
    expect(await response.json()).toEqual({ error: { code: "bad_request", message: expect.any(String) } });
  });

  test.each([
    ["PATCH", "", "{"],
    ["PATCH", "", "{}"],
    ["PATCH", "", '{"name":"x"}'],
    ["PATCH", "", '{"metadata":{}}'],
    ["PATCH", "", '{"title":7}'],
    ["PATCH", "", JSON.stringify({ title: "x".repeat(1_001) })],
    ["PATCH", "", '{"archived":"yes"}'],
    ["POST", "/fork", "{}"],
    ["POST", "/fork", '{"id":"","throughMessageId":"1"}'],
    ["POST", "/fork", '{"newChatId":"y"}'],
    ["DELETE", `/messages/${"x".repeat(256)}`, ""],
    ["GET", "?limit=0", ""],
    ["GET", "?limit=1001", ""],
    ["GET", "?limit=all", ""],
    ["GET", "?before=", ""],
    ["GET", `?before=${"x".repeat(256)}`, ""],
    ["GET", "/../?search=", ""],
    ["GET", `/../?search=${"x".repeat(256)}`, ""],
    ["GET", "/../?search=x&cursor=x", ""],
  ])("the server refuses a request that cannot be meant: %s %s %#", async (method, path, data) => {
    const headers = { "content-type": "application/json" };
    const response = await user.request.fetch(`${server.url}/api/chat/x${path}`, {
      method,
      headers,
      ...(data ? { data: Buffer.from(data) } : {}),
    });
    expect(response.status()).toBe(400);
    expect(await response.json()).toEqual({ error: { code: "bad_request", message: expect.any(String) } });
  });

  test("the server refuses a body of more than a megabyte before it has read it to the end", async () => {
    const message = { id: "1", role: "user", parts: [{ type: "text", text: "x".repeat(1_048_576) }] };
    const response = await user.request.post(`${server.url}/api/chat`, { data: { id: "x", message } });
    expect(response.status()).toBe(413);
  });
});
