import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { createChatHandler, type StandardSchema } from "../../src/handler.ts";
import {
  chunksOf,
  createHandler,
  expectError,
  openTestStore,
  question,
  requestTo,
  textChunks,
} from "../support/chat-handler.ts";

const used = openTestStore();

interface Choice {
  model: string;
}

type Validate = StandardSchema<Choice>["~standard"]["validate"];
const validate: Validate = (value) => {
  const { model, ...others } = value as Partial<Choice>;
  const [other] = Object.keys(others);
  if (other !== undefined) return { issues: [{ message: "unknown", path: [{ key: other }] }] };
  if (model === "fast" || model === "slow") return { value: { model: `the ${model} one` } };
  return { issues: [{ message: "no such model", path: ["model"] }, { message: "sorry" }] };
};
const handwritten = (validate: Validate): StandardSchema<Choice> => ({
  "~standard": { version: 1, vendor: "the application", validate },
});

const schemas: [string, StandardSchema<Choice>][] = [
  ["a schema of zod", z.strictObject({ model: z.enum(["fast", "slow"]).transform((model) => `the ${model} one`) })],
  ["a handwritten schema", handwritten(validate)],
  ["a handwritten schema that is asynchronous", handwritten(async (value) => validate(value))],
  ["a schema that is a function", Object.assign(() => {}, handwritten(validate))],
];

describe.each(schemas)("With %s", (name, schema) => {
  test("answer gets what the option body makes of what else the page sends", async () => {
    const bodies: Choice[] = [];
    const chat = createChatHandler({
      store: used.store,
      userId: () => "u",
      body: schema,
      answer: ({ body }) => {
        bodies.push(body);
        return ReadableStream.from(textChunks("Hello."));
      },
    });
    const body = { id: randomUUID(), message: question("Why?"), model: "fast" };
    await chunksOf(await chat(requestTo("POST", "/", { body })));
    expect(bodies).toEqual([{ model: "the fast one" }]);
  });

  test.each([{}, { model: "huge" }, { model: "fast", other: 1 }])("the option body refuses %j", async (more) => {
    const { chat, errors } = createHandler(used.store, { body: schema });
    const body = { id: randomUUID(), message: question("Why?"), ...more };
    const message = await used.expectUnchanged(async () =>
      expectError(await chat(requestTo("POST", "/", { body })), "bad_request"),
    );
    expect(message).toMatch(/^The body is not valid\.\n- /);
    if (name.includes("handwritten") && !("other" in more)) {
      expect(message).toBe("The body is not valid.\n- model: no such model\n- sorry");
    }
    expect(errors).toEqual([]);
  });

  test("PATCH stores what the option metadata makes of a chat's metadata, and null removes it", async () => {
    const { chat, errors } = createHandler(used.store, { metadata: schema });
    const chatId = randomUUID();
    await used.store.upsertChat({ userId: "u", chatId, title: "Kept", messages: [] });
    const patch = async (body: object) => chat(requestTo("PATCH", `/${chatId}`, { body }));
    const metadata = { model: "the slow one" };
    expect(await (await patch({ metadata: { model: "slow" } })).json()).toMatchObject({ title: "Kept", metadata });
    expect(await (await patch({ title: "New" })).json()).toMatchObject({ title: "New", metadata });
    const refused = async () => {
      for (const metadata of [{}, { model: "huge" }, { model: "fast", other: 1 }])
        await expectError(await patch({ metadata, title: "Other" }), "bad_request");
    };
    await used.expectUnchanged(refused);
    expect(await (await patch({ metadata: null })).json()).not.toHaveProperty("metadata");
    expect(errors).toEqual([]);
  });
});

test("a schema that throws is a fault of the server", async () => {
  const thrown = new Error("no network");
  for (const validate of [
    () => Promise.reject(thrown),
    (): never => {
      throw thrown;
    },
  ]) {
    const { chat, errors } = createHandler(used.store, { body: handwritten(validate) });
    const body = { id: randomUUID(), message: question("Why?"), model: "fast" };
    await expectError(await used.expectUnchanged(() => chat(requestTo("POST", "/", { body }))), "failed");
    expect(errors).toEqual([{ error: thrown, method: "POST", route: "/" }]);
  }
});

test("a message says at most twenty of the things that are wrong", async () => {
  const issues = Array.from({ length: 1_000 }, (_, index) => ({ message: `wrong ${index}` }));
  const { chat } = createHandler(used.store, { body: handwritten(() => ({ issues })) });
  const body = { id: "new", message: question("Why?") };
  const message = await expectError(await chat(requestTo("POST", "/", { body })), "bad_request");
  expect(message.split("\n- ")).toHaveLength(21);
});

describe("Options", () => {
  const valid = () => ({ store: used.store, userId: () => "u", answer: () => ReadableStream.from(textChunks("Hi")) });

  test.each([
    ["store", [undefined, null, {}, "store"]],
    ["userId", [undefined, null, "u"]],
    ["answer", [undefined, null, "Hi"]],
    ["basePath", ["api/chat", "", "https://example.com/api/chat", 1, null]],
    ["limit", [0, -1, 1.5, "1", Number.NaN, Number.POSITIVE_INFINITY, null]],
    ["pageSize", [0, -1, 1.5, "30", Number.NaN, null]],
    ["maxBodyBytes", [0, -1, 1.5, "1mb", Number.POSITIVE_INFINITY, null]],
    ["message", [{}, null, "text", () => true]],
    ["body", [{}, null, "text", () => true]],
    ["metadata", [{}, null, 1]],
    ["title", ["A title", true, null, 1]],
    ["tools", [null, "search", 1, () => ({})]],
    ["waitUntil", [null, {}, true]],
    ["onError", [null, {}, false]],
    [
      "trustedOrigins",
      [null, "https://a.example", ["*"], ["a.example"], ["https://a.example/"], ["https://a.example/x"], [1]],
    ],
    ["user", [() => "u"]],
    ["authorize", [undefined]],
  ])("a wrong %s is a TypeError that names it when the handler is made", (name, values) => {
    for (const value of values) {
      const create = () => createChatHandler({ ...valid(), [name]: value } as never);
      expect(create, `${name}: ${String(value)}`).toThrow(TypeError);
      expect(create).toThrow(name);
    }
  });

  test("no options at all are a TypeError", () => {
    for (const options of [undefined, null, {}]) expect(() => createChatHandler(options as never)).toThrow(TypeError);
  });

  test("undefined means the default", () => {
    const names = ["basePath", "tools", "limit", "message", "body", "metadata", "title", "pageSize", "maxBodyBytes"];
    const others = ["trustedOrigins", "waitUntil", "onError"];
    const undefinedOnes = Object.fromEntries([...names, ...others].map((name) => [name, undefined]));
    expect(() => createChatHandler({ ...valid(), ...undefinedOnes })).not.toThrow();
  });
});
