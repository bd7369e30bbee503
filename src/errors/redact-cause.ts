import { constantMessages } from "./driver-messages.ts";

/**
 * How much of a cause is redacted: `"all"` keeps only class and stack frames, `"message"` also keeps diagnostic fields,
 * and `"none"` also keeps messages, which is safe only where no statement has values.
 */
export type Redaction = "all" | "message" | "none";

/**
 * A copy of a cause that may be logged, with copies of the causes below it. It never contains chat content: Drizzle
 * puts parameters into messages, Postgres may quote values, `detail` contains whole rows, and other fields of drivers
 * are unknown.
 */
export function redactCause(cause: unknown, redaction: Redaction): unknown {
  const copies = new Map<unknown, Error>();
  return copyOf(cause);

  function copyOf(original: unknown): unknown {
    if (original === undefined || original === null) return original;
    // Causes may form a circle, or never end.
    if (copies.has(original) || copies.size === 20) return copies.get(original);
    const copy = new Error(redactedNotice);
    copies.set(original, copy);
    try {
      fill(copy, Object(original));
    } catch {
      // A thrown value can be anything, including a proxy or getter that throws when read.
    }
    return copy;
  }

  function fill(copy: Error, original: Record<string, unknown>): void {
    const { message, stack, cause, sourceError, errors } = original;
    const fields = redaction === "all" ? {} : diagnosticsOf(original);
    const isShown = typeof message === "string" && (redaction === "none" || constantMessages.has(message));
    const known = [fields.syscall, fields.code].filter(Boolean).join(" ");
    const shown = isShown ? message : [known, redactedNotice].filter(Boolean).join(", ");
    const className: unknown = Object.getPrototypeOf(original)?.constructor?.name;
    const name = typeof className === "string" && /^[\w$]{1,60}$/.test(className) ? className : "Error";
    const hidden = {
      name,
      message: shown,
      stack: `${name}: ${shown}${framesOf(String(stack), String(message))}`,
      cause: copyOf(cause),
      sourceError: copyOf(sourceError), // Neon over HTTP, whose errors have no cause.
      errors: Array.isArray(errors) ? errors.slice(0, 10).map(copyOf) : undefined, // An AggregateError.
    };
    for (const [key, value] of Object.entries(hidden)) {
      // Not enumerable, like the same properties of other errors.
      if (value !== undefined) Object.defineProperty(copy, key, { value, configurable: true, writable: true });
    }
    Object.assign(copy, fields);
  }
}

const redactedNotice = "message redacted, because it may contain chat content: see originalCause";

/** Fields of node-postgres, PGlite, Neon and Node. */
const safeFields = ["code", "severity", "position", "file", "line", "routine", "errno", "syscall"];
/** Names in the database, as most drivers and postgres.js call the fields. */
const nameFields = ["constraint", "table", "column", "schema", "dataType"].concat([
  "constraint_name",
  "table_name",
  "column_name",
  "schema_name",
  "type_name",
]);

function diagnosticsOf(original: Record<string, unknown>): Record<string, unknown> {
  // A trigger may put any text into the name fields. Then `file` is the source of its language, such as pl_exec.c.
  const keys = String(original.file).startsWith("pl") ? safeFields : [...safeFields, ...nameFields];
  const fields = keys.map((key): [string, unknown] => [key, original[key]]);
  return Object.fromEntries(fields.filter(([key, value]) => isDiagnostic(key, value)));
}

/** No name in Postgres is longer than 63 bytes. */
const isDiagnostic = (key: string, value: unknown) =>
  key === "code"
    ? typeof value === "string" && /^[A-Z0-9_]{1,40}$/.test(value)
    : typeof value === "number" || (typeof value === "string" && value.length <= 63);

/** The lines of a stack after its message, because lines of the message may look like frames. */
function framesOf(stack: string, message: string): string {
  const start = stack.indexOf(message);
  const frames = start === -1 ? "" : stack.slice(start + message.length);
  return /^(\n {4}at .*)*$/.test(frames) ? frames : "";
}
