import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import { createHandler, expectError, openTestStore, question, requestTo } from "../support/chat-handler.ts";
import { ends, shapes } from "../support/hostile-bodies.ts";

const used = openTestStore();

const withBody: [string, string][] = [
  ["POST", "/"],
  ["PATCH", "/x"],
  ["POST", "/x/fork"],
];
const encoder = new TextEncoder();

/** Sends the body to every route that reads one, and expects this error. Returns the messages. */
async function expectRefused(body: unknown, code: "bad_request" | "too_large" = "bad_request", options = {}) {
  const { chat, errors } = createHandler(used.store, options);
  const messages: string[] = [];
  await used.expectUnchanged(async () => {
    for (const [method, path] of withBody) {
      messages.push(await expectError(await chat(requestTo(method, path, { body })), code));
    }
  });
  expect(errors).toEqual([]);
  return messages;
}

describe("A body that is no JSON object", () => {
  test.each(["", " ", "{", "{'id':1}", '{"id":1}x', "undefined", "NaN", "{}{}", '{"a":"\n"}', "\0", "﻿﻿{}"])(
    "%j is refused as no JSON",
    async (body) => {
      for (const message of await expectRefused(body)) expect(message).toBe("The body is not JSON.");
    },
  );

  test.each(["null", "1", '"text"', "true", "[]", '[{"id":"x"}]'])("%s is refused", async (body) => {
    for (const message of await expectRefused(body)) expect(message).toBe("The body is not a JSON object.");
  });

  test.each([
    ["a lone continuation", [0x80]],
    ["a cut sequence", [0x22, 0xe2, 0x82]],
    ["an encoded surrogate", [0x22, 0xed, 0xa0, 0x80, 0x22]],
    ["UTF-16", [0xff, 0xfe, 0x7b, 0, 0x7d, 0]],
    ["an overlong NUL", [0x22, 0xc0, 0x80, 0x22]],
  ])("%s is refused as no UTF-8", async (_, bytes) => {
    for (const message of await expectRefused(new Uint8Array(bytes))) expect(message).toContain("UTF-8");
  });

  test("UTF-8 that is cut between its bytes is read", async () => {
    const { chat } = createHandler(used.store);
    const id = randomUUID();
    const bytes = encoder.encode(JSON.stringify({ id, message: question("ü😀語") }));
    const body = ReadableStream.from(Array.from(bytes, (byte) => new Uint8Array([byte])));
    await (await chat(requestTo("POST", "/", { body }))).text();
    expect((await used.store.getChat({ userId: "u", chatId: id }))?.messages[0]).toEqual(question("ü😀語"));
  });
});

describe("A body with unknown keys", () => {
  const unknown = [
    "userId",
    "chatId",
    "other",
    "__proto__",
    "constructor",
    "limit",
    "tools",
    "version",
    "createdAt",
    "",
  ];

  test.each(unknown)("%j is refused beside the known ones, and nothing is stored", async (key) => {
    const { chat, errors } = createHandler(used.store);
    const id = randomUUID();
    await used.store.upsertChat({ userId: "u", chatId: id, title: "Kept", messages: [] });
    const withKey = (body: object) => `${JSON.stringify(body).slice(0, -1)},${JSON.stringify(key)}:"s"}`;
    const bodies: [string, string, string][] = [
      ["POST", "/", withKey({ id: randomUUID(), message: question("Why?") })],
      ["PATCH", `/${id}`, withKey({ title: "New" })],
      ["POST", `/${id}/fork`, withKey({ id: randomUUID() })],
    ];
    await used.expectUnchanged(async () => {
      for (const [method, path, body] of bodies) {
        const message = await expectError(await chat(requestTo(method, path, { body })), "bad_request");
        expect(message).toContain(`Unexpected ${JSON.stringify(key)}; expected only`);
      }
    });
    expect(errors).toEqual([]);
  });

  test("metadata is unknown to PATCH without a schema, and the message says what to do", async () => {
    const { chat } = createHandler(used.store);
    for (const metadata of [{ a: 1 }, null]) {
      const response = await chat(requestTo("PATCH", "/x", { body: { metadata } }));
      expect(await expectError(response, "bad_request")).toContain("a schema as the option metadata");
    }
  });

  test.each([
    {},
    { title: 1 },
    { title: null },
    { title: "x".repeat(1_001) },
    { title: "\0" },
    { archived: 1 },
    { archived: null },
  ])("PATCH refuses %j", async (body) => {
    const { chat, errors } = createHandler(used.store);
    await expectError(await chat(requestTo("PATCH", "/x", { body })), "bad_request");
    expect(errors).toEqual([]);
  });
});

describe("A body that is too large", () => {
  const maxBodyBytes = 10_000;
  const bytesOf = (length: number) => {
    const body = { id: randomUUID(), message: question("Why?") };
    return encoder.encode(JSON.stringify(body).padEnd(length));
  };

  test("is taken up to the limit, with or without content-length", async () => {
    const { chat } = createHandler(used.store, { maxBodyBytes });
    for (const headers of [{ "content-length": `${maxBodyBytes}` }, {}] as Record<string, string>[]) {
      const response = await chat(requestTo("POST", "/", { body: bytesOf(maxBodyBytes), headers }));
      expect(response.status).toBe(200);
      await response.text();
    }
  });

  test("is refused from one byte more on, and at 1 MiB by default", async () => {
    const [message] = await expectRefused(bytesOf(maxBodyBytes + 1), "too_large", { maxBodyBytes });
    expect(message).toBe("The body has more than 10000 bytes.");
    await expectRefused(bytesOf(1_048_577), "too_large");
    const response = await createHandler(used.store).chat(requestTo("POST", "/", { body: bytesOf(1_048_576) }));
    expect(response.status).toBe(200);
    await response.text();
  });

  test("is refused by its content-length before it is read", async () => {
    const { chat } = createHandler(used.store, { maxBodyBytes });
    let pulled = 0;
    const body = new ReadableStream({ pull: () => void pulled++ }, { highWaterMark: 0 });
    const request = requestTo("POST", "/", { body, headers: { "content-length": "10001" } });
    await expectError(await chat(request), "too_large");
    expect(pulled).toBe(0);
  });

  test.each([undefined, "1", "nonsense", "-1"])(
    "is refused while it is read if its content-length is %s, and the stream is cancelled",
    async (length) => {
      for (const [method, path] of withBody) {
        const { chat, errors } = createHandler(used.store, { maxBodyBytes });
        let sent = 0;
        let cancelled = 0;
        const endless = new ReadableStream({
          pull(controller) {
            sent += 1_000;
            controller.enqueue(new Uint8Array(1_000).fill(0x20));
          },
          cancel: () => void cancelled++,
        });
        const headers = length === undefined ? {} : { "content-length": length };
        await expectError(await chat(requestTo(method, path, { body: endless, headers })), "too_large");
        expect(cancelled).toBe(1);
        expect(sent).toBeLessThan(maxBodyBytes + 5_000);
        expect(errors).toEqual([]);
      }
    },
  );

  test("of a byte order mark alone is a bad request", async () => {
    const { chat, errors } = createHandler(used.store);
    const headers = { "content-length": "3" };
    for (const [method, path] of withBody)
      await expectError(await chat(requestTo(method, path, { body: "\uFEFF", headers })), "bad_request");
    expect(errors).toEqual([]);
  });

  test("that breaks off is a bad request", async () => {
    const broken = () =>
      new ReadableStream({
        start: (controller) => controller.enqueue(encoder.encode("{")),
        pull: (controller) => controller.error(new Error("reset")),
      });
    const { chat, errors } = createHandler(used.store);
    for (const [method, path] of withBody)
      await expectError(await chat(requestTo(method, path, { body: broken() })), "bad_request");
    expect(errors).toEqual([]);
  });
});

describe("A body that was read before", () => {
  test.each(withBody)("is a fault of the server in %s %s, and onError gets the advice", async (method, path) => {
    const body = { id: randomUUID(), message: question("Why?") };
    const read = requestTo(method, path, { body });
    await read.text();
    const locked = requestTo(method, path, { body });
    locked.body?.getReader();
    // As an adapter makes it after express.json().
    const emptied = requestTo(method, path, { body: "", headers: { "content-length": "100" } });
    for (const request of [read, locked, emptied]) {
      const { chat, errors } = createHandler(used.store);
      const response = await used.expectUnchanged(() => chat(request));
      expect(await expectError(response, "failed")).toBe("Something went wrong.");
      expect(errors).toMatchObject([{ error: { message: expect.stringContaining("express.json()") }, method }]);
    }
  });
});

describe("Hostile JSON of a megabyte", () => {
  test.each(Object.entries(shapes))(
    "%s is refused in every place, and never a fault of the server",
    async (_, shape) => {
      const { chat, errors } = createHandler(used.store, { maxBodyBytes: 10_000_000 });
      const json = stringify(shape(ends["a number"]));
      const message = JSON.stringify(question("Why?"));
      const bodies: [string, string, string][] = [
        ["POST", "/", json],
        ["POST", "/", `{"id":${json},"message":${message}}`],
        ["POST", "/", `{"id":"x","message":${json}}`],
        ["POST", "/", `{"id":"x","message":{"id":"q","role":"user","parts":${json}}}`],
        ["POST", "/", `{"id":"x","message":{"id":"q","role":"assistant","parts":[{"type":"text","text":${json}}]}}`],
        ["POST", "/", `{"id":"x","messages":${json}}`],
        ["PATCH", "/x", `{"title":${json}}`],
      ];
      await used.expectUnchanged(async () => {
        for (const [method, path, body] of bodies) {
          const response = await chat(requestTo(method, path, { body }));
          expect([400, 404, 409]).toContain(response.status);
          expect((await response.text()).length).toBeLessThan(5_000);
        }
      });
      expect(errors).toEqual([]);
    },
  );
});

/** As JSON.stringify, which gives up at a depth that a client can send. */
function stringify(value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch {
    return `${"[".repeat(250_000)}${"]".repeat(250_000)}`;
  }
}
