import { constantMessages } from "./driver-messages.ts";

/** What may be shown of a cause, besides who threw it and where. Messages only where no statement has values. */
export type Redaction = "all" | "message" | "none";

/**
 * A copy of a cause for all who print, serialise and send errors. It holds the class, the stack's places, what drivers say in
 * fields of names, codes and numbers, and copies of the causes below. It holds nothing in which there may be what people said:
 * Drizzle's message has a statement's parameters, Postgres's may quote a value ("invalid input syntax for type …") or what a
 * trigger raised, `detail` has the row, and what else a driver hangs on its errors nobody knows.
 */
export function redactCause(cause: unknown, redaction: Redaction): unknown {
  // Causes may form a circle, or have no end.
  const copies = new Map<unknown, Error>();
  return copyOf(cause);

  function copyOf(original: unknown): unknown {
    if (original === undefined || original === null) return original;
    if (copies.has(original) || copies.size === 20) return copies.get(original);

    const facts = redaction === "all" ? {} : diagnosticsOf(original);
    const message = messageOf(original, facts);
    const copy = new Error(message);
    copies.set(original, copy);
    const name = classOf(original);
    const below = {
      cause: copyOf(read(original, "cause")),
      sourceError: copyOf(read(original, "sourceError")), // Neon over HTTP, whose errors have no cause.
      errors: copiesOf(read(original, "errors")), // An AggregateError.
    };
    const stack = [`${name}: ${message}`, ...framesOf(original)].join("\n");
    for (const [key, value] of Object.entries({ name, stack, ...below })) {
      // Not enumerable, as those of an Error are not.
      if (value !== undefined) Object.defineProperty(copy, key, { value, configurable: true, writable: true });
    }
    return Object.assign(copy, facts);
  }

  function copiesOf(errors: unknown): unknown[] | undefined {
    if (!attempt(() => Array.isArray(errors))) return undefined;
    return Array.from({ length: 10 }, (_, index) => copyOf(read(errors, index))).filter((copy) => copy !== undefined);
  }

  function messageOf(original: unknown, { syscall, code }: Record<string, unknown>): string {
    const message = read(original, "message");
    if (typeof message === "string" && (redaction === "none" || constantMessages.has(message))) {
      return message;
    }
    const known = [syscall, code].filter((fact) => fact !== undefined).join(" ");
    return `${known ? `${known}, ` : ""}${redactedNotice}`;
  }
}

const redactedNotice = "its message is left out, as it may hold chat text: see originalCause";

/** In the words of node-postgres, PGlite and Neon, of postgres.js where its differ, and of Node. */
const safeFields = ["severity", "position", "file", "line", "routine", "errno", "syscall"];
const names = {
  nodePostgres: ["constraint", "table", "column", "schema", "dataType"],
  postgresJs: ["constraint_name", "table_name", "column_name", "schema_name", "type_name"],
};

function diagnosticsOf(original: unknown): Record<string, unknown> {
  const code = read(original, "code");
  // A trigger may raise an error with anything in its fields, and then the file is that of its language: pl_exec.c, plpy_elog.c.
  const isRaised = /^pl/.test(String(fact(read(original, "file"))));
  const keys = isRaised ? safeFields : [...safeFields, ...names.nodePostgres, ...names.postgresJs];
  return Object.fromEntries(
    [["code", typeof code === "string" && /^[A-Z0-9_]{1,40}$/.test(code) ? code : undefined] as const]
      .concat(keys.map((key) => [key, fact(read(original, key))] as never))
      .filter(([, value]) => value !== undefined),
  );
}

/** No name in Postgres is longer than 63 bytes. */
const fact = (value: unknown) =>
  (typeof value === "string" && value.length <= 63) || typeof value === "number" ? value : undefined;

function classOf(original: unknown): string {
  const name = read(
    attempt(() => read(Object.getPrototypeOf(original), "constructor")),
    "name",
  );
  return typeof name === "string" && /^[\w$]{1,60}$/.test(name) ? name : "Error";
}

/** The lines of a stack that come after its message, which may have lines that look like them. */
function framesOf(original: unknown): string[] {
  const [stack, message] = [read(original, "stack"), read(original, "message")];
  if (typeof stack !== "string" || typeof message !== "string" || message === "") return [];
  const at = stack.indexOf(message);
  const [rest, ...lines] = at === -1 ? [] : stack.slice(at + message.length).split("\n", 50);
  return rest === "" && lines.every((line) => /^ {4}at /.test(line)) ? lines : [];
}

const read = (from: unknown, key: string | number): unknown => attempt(() => Reflect.get(Object(from), key));

/** What is thrown may be anything, also what throws when it is looked at. */
function attempt<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch {
    return undefined;
  }
}
