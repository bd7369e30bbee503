import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import { chunksOf, createHandler, expectError, openTestStore, question, requestTo } from "../support/chat-handler.ts";
import { say } from "../support/conversations.ts";

const used = openTestStore({ branches: true });

const allowed: [string, string][] = [
  ["/", "GET, HEAD, POST, OPTIONS"],
  ["/x", "GET, HEAD, PATCH, DELETE, OPTIONS"],
  ["/x/fork", "POST, OPTIONS"],
  ["/x/messages/y", "DELETE, OPTIONS"],
  ["/x/branches/y", "POST, OPTIONS"],
  ["/x/stream", "GET, HEAD, DELETE, OPTIONS"],
];

describe.each(allowed)("The path %s", (path, allow) => {
  const methods = allow.split(", ");
  const others = ["GET", "HEAD", "POST", "PATCH", "DELETE", "PUT", "PROPFIND"].filter(
    (name) => !methods.includes(name),
  );

  test.each(others)("has no %s: 405 with the methods that it has, before the user is looked for", async (method) => {
    const { chat, errors } = createHandler(used.store, { userId: () => Promise.reject(new Error("asked")) });
    const response = await chat(requestTo(method, path, { headers: { "sec-fetch-site": "cross-site" } }));
    expect(response.headers.get("allow")).toBe(allow);
    if (method === "HEAD") expect([response.status, await response.text()]).toEqual([405, ""]);
    else await expectError(response, "method_not_allowed");
    expect(errors).toEqual([]);
  });

  test("answers OPTIONS with the methods that it has, and nothing of CORS", async () => {
    const { chat } = createHandler(used.store);
    const headers = { origin: "https://elsewhere.example", "access-control-request-method": "POST" };
    const response = await chat(requestTo("OPTIONS", path, { userId: null, headers }));
    expect([response.status, await response.text()]).toEqual([204, ""]);
    expect(Object.fromEntries(response.headers)).toEqual({ allow, "cache-control": "no-store" });
  });
});

test.each(allowed.filter(([, allow]) => allow.includes("HEAD")))(
  "the path %s answers HEAD as GET, without a body",
  async (path) => {
    const { chat } = createHandler(used.store);
    await used.store.upsertChat({ userId: "u", chatId: "x", messages: [say("user", "Why?", "q")] });
    for (const userId of ["u", null]) {
      const [head, get] = await Promise.all(["HEAD", "GET"].map((method) => chat(requestTo(method, path, { userId }))));
      expect([head?.status, head && Object.fromEntries(head.headers)]).toEqual([
        get?.status,
        get && Object.fromEntries(get.headers),
      ]);
      expect(await head?.text()).toBe("");
    }
  },
);

test.each([
  "/x/y",
  "/x/fork/y",
  "/x/messages",
  "/x/messages/y/z",
  "/x/stream/y",
  "/x/Fork",
  "/x/branches",
  "/x/branches/y/z",
  "/x/Branches/y",
  "/x//",
  "//x",
])("there is nothing at %s: 404, before the user is looked for", async (path) => {
  const { chat, errors } = createHandler(used.store, { userId: () => Promise.reject(new Error("asked")) });
  const message = await expectError(await chat(requestTo("POST", path)), "not_found");
  expect(message).toContain("/api/chat/");
  expect(errors).toEqual([]);
});

test.each([
  ["/api/chat", "http://localhost/api/chat", true],
  ["/api/chat", "http://localhost/api/chat/", true],
  ["/api/chat", "http://localhost/api/chat/?archived=false", true],
  ["/api/chat/", "http://localhost/api/chat", true],
  ["/api/chat", "http://localhost/api/chats", false],
  ["/api/chat", "http://localhost/chat", false],
  ["/api/chat", "http://localhost/", false],
  ["/", "http://localhost/", true],
  ["/", "http://localhost", true],
  ["/a/b/c", "https://example.com:8443/a/b/c/", true],
  ["/a/b/c", "https://example.com:8443/a/b/", false],
  ["/a b", "http://localhost/a%20b", false],
])("with the basePath %s, the list is at %s: %s", async (basePath, url, isThere) => {
  const { chat } = createHandler(used.store, { basePath });
  const response = await chat(new Request(url, { headers: { "x-user-id": randomUUID() } }));
  if (isThere) expect(await response.json()).toEqual({ chats: [], cursor: null });
  else expect(await expectError(response, "not_found")).toContain(basePath);
});

test.each(["/", "/api/chat", "/deep/er"])(
  "with the basePath %s, every route takes a slash at its end",
  async (basePath) => {
    const { chat } = createHandler(used.store, { basePath });
    const prefix = basePath === "/" ? "" : basePath;
    const id = randomUUID();
    const send = (method: string, path: string, body?: object) =>
      chat(
        new Request(`http://localhost${prefix}${path}`, {
          method,
          headers: { "x-user-id": "u", "content-type": "application/json" },
          ...(body && { body: JSON.stringify(body) }),
        }),
      );
    await chunksOf(await send("POST", "/", { id, message: question("Why?") }));
    await chunksOf(await send("POST", "/", { id, message: question("Why?"), trigger: "regenerate-message" }));
    const [point] = await used.store.getBranches({ userId: "u", chatId: id });
    const branchId = point?.branches[0]?.id;
    const statuses = [
      await send("GET", `/${id}/`),
      await send("PATCH", `/${id}/`, { archived: true }),
      await send("POST", `/${id}/fork/`, { id: randomUUID() }),
      await send("POST", `/${id}/branches/${branchId}/`),
      await send("GET", `/${id}/stream/`),
      await send("DELETE", `/${id}/stream/`),
      await send("DELETE", `/${id}/messages/q/`),
      await send("DELETE", `/${id}/`),
    ].map(({ status }) => status);
    expect(statuses).toEqual([200, 200, 201, 200, 204, 200, 200, 204]);
  },
);

test("the handler's GET, POST, PATCH, DELETE and fetch are the handler, which needs no object", async () => {
  const { chat } = createHandler(used.store);
  const { GET, POST, PATCH, DELETE, fetch } = chat;
  for (const one of [GET, POST, PATCH, DELETE, fetch]) {
    const response = await one(requestTo("GET", "/", { userId: randomUUID() }));
    expect(await response.json()).toEqual({ chats: [], cursor: null });
  }
});
