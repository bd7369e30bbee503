import { inspect } from "node:util";
import { expect, test } from "vitest";
import { redactCause } from "../../src/errors/redact-cause.ts";

const secret = "Xyzzy";
const fail = (): never => {
  throw new Error(secret);
};
const circle = Object.assign(new Error(secret), { errors: [] as unknown[] });
circle.cause = circle;
circle.errors.push(circle, new Error(secret));
const endless = (): Error => Object.defineProperty(new Error(secret), "cause", { get: endless });
const edited = Object.assign(new Error(`short\n    at ${secret}`), { message: "short" });

test.each<[string, unknown]>([
  ["causes that form a circle", circle],
  ["causes without an end", endless()],
  ["a proxy that throws", new Proxy(new Error(secret), { get: fail, getPrototypeOf: fail })],
  ["a message that throws", { message: { toString: fail } }],
  ["a message with lines like frames", new Error(`a\n    at ${secret} (file:1:1)`)],
  ["a stack with a longer message", edited],
  ["a code that is text", Object.assign(new Error(secret), { code: `code ${secret}` })],
  ["fields that a trigger has set", Object.assign(new Error(secret), { file: "pl_exec.c", constraint: secret })],
  ["fields that are unknown", Object.assign(new Error(secret), { detail: secret, hint: secret, where: secret })],
  ["a string", secret],
  ["a symbol", Symbol(secret)],
  ["a function", () => secret],
  ["an array", [secret]],
  ["an object without a class", Object.assign(Object.create(null), { name: secret, [secret]: 1 })],
])("a redacted cause shows no chat content: %s", (_, cause) => {
  for (const redaction of ["all", "message"] as const) {
    const copy = redactCause(cause, redaction);
    expect(copy).toBeInstanceOf(Error);
    expect(inspect(copy, { depth: null, showHidden: true })).not.toContain(secret);
  }
});

test("a redacted cause keeps the classes, codes, names and frames of all causes", () => {
  class QueryError extends Error {}
  const driver = Object.assign(new TypeError(secret), {
    code: "23514",
    constraint: "titles",
    table: "chats",
    line: "7",
  });
  const overHttp = Object.assign(new Error(secret), { sourceError: driver });
  const refused = Object.assign(new Error(secret), { code: "ECONNREFUSED", syscall: "connect" });
  const cause = new QueryError(secret, { cause: new AggregateError([refused, overHttp], secret) });
  expect(redactCause(cause, "message")).toMatchObject({
    name: "QueryError",
    stack: expect.stringMatching(/^QueryError: .*\n {4}at .*redact-cause\.test\.ts/),
    cause: {
      name: "AggregateError",
      errors: [
        { code: "ECONNREFUSED", message: expect.stringMatching(/^connect ECONNREFUSED, message redacted/) },
        { sourceError: { name: "TypeError", code: "23514", constraint: "titles", table: "chats", line: "7" } },
      ],
    },
  });
});

test("a cause keeps a message that is a constant of a library, and every message of a migration", () => {
  const known = new Error("Connection terminated unexpectedly");
  expect(redactCause(known, "message")).toMatchObject({ message: known.message });
  expect(redactCause(new Error("syntax error"), "none")).toMatchObject({ message: "syntax error" });
});
