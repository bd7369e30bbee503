import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import { createHandler, expectError, openTestStore, question, requestTo } from "../support/chat-handler.ts";

const used = openTestStore();

const host = "chat.example.com:8443";
const same = `https://${host}`;
const trusted = "https://app.example.com";
const evil = "https://evil.example";

/** Whether a change passes, by `Sec-Fetch-Site` and `Origin`, if `trusted` is a trusted origin. */
const matrix: [string | null, Record<string, boolean>][] = [
  ["same-origin", { none: true, [same]: true, [trusted]: true, [evil]: true, null: true }],
  ["none", { none: true, [same]: true, [trusted]: true, [evil]: true, null: true }],
  ["same-site", { none: false, [same]: false, [trusted]: true, [evil]: false, null: false }],
  ["cross-site", { none: false, [same]: false, [trusted]: true, [evil]: false, null: false }],
  ["Same-Origin", { none: false, [same]: false, [trusted]: true, [evil]: false, null: false }],
  ["", { none: false, [same]: false, [trusted]: true, [evil]: false, null: false }],
  [null, { none: true, [same]: true, [trusted]: true, [evil]: false, null: false }],
];
const cases = matrix.flatMap(([site, origins]) =>
  Object.entries(origins).map(([origin, passes]) => ({ site, origin, passes })),
);

const changes: [string, string, object?][] = [
  ["POST", "/", { id: "x" }],
  ["PATCH", "/x", { title: "New" }],
  ["DELETE", "/x"],
  ["POST", "/x/fork", { id: "y" }],
  ["DELETE", "/x/messages/y"],
  ["POST", "/x/branches/y"],
  ["DELETE", "/x/stream"],
];

const headersOf = (site: string | null, origin: string) => ({
  host,
  ...(site !== null && { "sec-fetch-site": site }),
  ...(origin !== "none" && { origin }),
});

test.each(cases)(
  "with Sec-Fetch-Site $site and the Origin $origin, a change passes: $passes",
  async ({ site, origin, passes }) => {
    const headers = headersOf(site, origin);
    const { chat } = createHandler(used.store, { trustedOrigins: [trusted] });
    const untrusting = createHandler(used.store).chat;
    await used.expectUnchanged(async () => {
      for (const [method, path, body] of changes) {
        const response = await chat(requestTo(method, path, { body, headers }));
        if (passes) expect([200, 400, 404]).toContain(response.status);
        else await expectError(response, "forbidden");
        if (origin === trusted && site !== "same-origin" && site !== "none")
          await expectError(await untrusting(requestTo(method, path, { body, headers })), "forbidden");
      }
      for (const [method, path] of [
        ["GET", "/"],
        ["GET", "/?search=x"],
        ["HEAD", "/"],
        ["GET", "/x/stream"],
        ["OPTIONS", "/x"],
      ])
        expect([200, 204]).toContain(
          (await untrusting(requestTo(method as string, path as string, { headers }))).status,
        );
    });
  },
);

test.each([
  ["https://chat.example.com", "chat.example.com", true],
  ["http://chat.example.com", "chat.example.com", true],
  ["https://chat.example.com", "CHAT.example.com", true],
  ["https://CHAT.example.com", "chat.example.com", true],
  ["https://chat.example.com:8443", "chat.example.com", false],
  ["https://chat.example.com", "chat.example.com:8443", false],
  ["https://chat.example.com.evil.example", "chat.example.com", false],
  ["https://evil.example/chat.example.com", "chat.example.com", false],
  ["https://evil.example?chat.example.com", "chat.example.com", false],
  ["https://chat.example.com@evil.example", "chat.example.com", false],
  ["https://evilchat.example.com", "chat.example.com", false],
  ["http://[::1]:3000", "[::1]:3000", true],
  ["http://127.0.0.1:3000", "localhost:3000", false],
  ["file://", "", false],
  ["null", "null", false],
  ["", "", false],
  ["not a URL", "not a URL", false],
])("without Sec-Fetch-Site, the Origin %j passes at the Host %j: %s", async (origin, host, passes) => {
  const { chat } = createHandler(used.store);
  const response = await chat(requestTo("DELETE", "/x", { headers: { origin, host } }));
  await expectError(response, passes ? "not_found" : "forbidden");
});

test("the origin is compared with the header Host, not with the URL of the request", async () => {
  const { chat } = createHandler(used.store);
  const headers = { origin: "http://localhost", host: "chat.example.com" };
  await expectError(await chat(requestTo("DELETE", "/x", { headers })), "forbidden");
  // Where no Host arrives, no origin equals it.
  for (const origin of ["http://localhost", "null", "", "file://"])
    await expectError(await chat(requestTo("DELETE", "/x", { headers: { origin } })), "forbidden");
});

test.each([
  "https://app.example.com/",
  "https://APP.example.com",
  "app.example.com",
  "https://sub.app.example.com",
  "*",
])("the Origin %s is not the trusted origin https://app.example.com", async (origin) => {
  const { chat } = createHandler(used.store, { trustedOrigins: [trusted] });
  await expectError(await chat(requestTo("DELETE", "/x", { headers: { origin, host } })), "forbidden");
});

test("a page of another site learns nothing about the session: the user is not looked for", async () => {
  const { chat, errors } = createHandler(used.store, { userId: () => Promise.reject(new Error("asked")) });
  const headers = headersOf("cross-site", evil);
  await expectError(await chat(requestTo("DELETE", "/x", { headers })), "forbidden");
  expect(errors).toEqual([]);
});

test("no response has a header of CORS", async () => {
  const { chat } = createHandler(used.store, { trustedOrigins: [trusted] });
  for (const [method, path] of [
    ["GET", "/"],
    ["DELETE", "/x"],
    ["OPTIONS", "/"],
  ] as const) {
    const { headers } = await chat(requestTo(method, path, { headers: headersOf("cross-site", trusted) }));
    expect([...headers.keys()].filter((name) => name.startsWith("access-control-"))).toEqual([]);
  }
});

describe("Content types", () => {
  const withBody: [string, string][] = [
    ["POST", "/"],
    ["PATCH", "/x"],
    ["POST", "/x/fork"],
  ];
  const body = () => JSON.stringify({ id: randomUUID(), message: question("Why?") });

  test.each([
    "text/plain",
    "text/plain;charset=UTF-8",
    "text/plain; application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=application/json",
    "application/json-seq",
    "application/jsonp",
    "application/ld+json",
    "text/json",
    "application/octet-stream",
    "*/*",
    "",
    "text/plain, application/json",
  ])("a body of the type %j is refused, and nothing is stored", async (type) => {
    const { chat, errors } = createHandler(used.store);
    await used.expectUnchanged(async () => {
      for (const [method, path] of withBody) {
        const response = await chat(requestTo(method, path, { body: body(), headers: { "content-type": type } }));
        await expectError(response, "unsupported_media_type");
      }
    });
    expect(errors).toEqual([]);
  });

  test.each([
    "application/json",
    "application/json;charset=utf-8",
    "application/json ; charset=UTF-8",
    "APPLICATION/JSON",
  ])("a body of the type %j is read", async (type) => {
    const { chat } = createHandler(used.store);
    const response = await chat(requestTo("POST", "/", { body: body(), headers: { "content-type": type } }));
    expect(response.status).toBe(200);
    await response.text();
  });

  test("a body without a type, and no body at all, are refused", async () => {
    const { chat } = createHandler(used.store);
    for (const [method, path] of withBody) {
      const bytes = requestTo(method, path, { body: new TextEncoder().encode(body()) });
      bytes.headers.delete("content-type");
      await expectError(await chat(bytes), "unsupported_media_type");
      await expectError(await chat(requestTo(method, path)), "unsupported_media_type");
    }
  });

  test("the form of another site, which a browser sends without asking, changes nothing", async () => {
    const { chat, errors } = createHandler(used.store);
    // With <input name='{"id":"…","message":…,"x":"' value='"}'>, the body of a form is JSON.
    const multipart = new FormData();
    multipart.append("id", "x");
    const forms = [new URLSearchParams({ id: "x", message: "Why?" }), multipart, body()];
    await used.expectUnchanged(async () => {
      for (const form of forms) {
        const headers = { "x-user-id": "u", ...headersOf(null, evil) };
        await expectError(
          await chat(new Request("http://localhost/api/chat", { method: "POST", body: form, headers })),
          "forbidden",
        );
        // A browser so old that it sends no Origin.
        const old = new Request("http://localhost/api/chat", {
          method: "POST",
          body: form,
          headers: { "x-user-id": "u" },
        });
        await expectError(await chat(old), "unsupported_media_type");
      }
    });
    expect(errors).toEqual([]);
  });
});
