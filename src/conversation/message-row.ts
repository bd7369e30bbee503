import crypto, { createHash } from "node:crypto";
import type { UIMessage } from "ai";
import { InvalidChatError, type InvalidChatIssue } from "../errors/errors.ts";

/** A message whose envelope has been checked. Its parts and metadata are anything JSON can carry. */
export interface MessageEnvelope {
  id: string;
  role: string;
  parts: unknown[];
  metadata?: unknown;
}

/**
 * A message as it is stored. `parts` and `metadata` are JSON texts; no metadata is null, metadata of null is "null".
 */
export interface MessageRow {
  id: string;
  role: string;
  parts: string;
  metadata: string | null;
  /** 16 bytes of SHA-256 in hex over all of the above; "" if it has not been computed, see {@link digestOf}. */
  digest: string;
}

/** A checked and serialised conversation, to be saved. */
export interface ConversationInput {
  userId: string;
  chatId: string;
  title?: string | undefined;
  expectedVersion?: number | undefined;
  rows: readonly MessageRow[];
}

/**
 * Serialises a message. This happens once: all else works on these texts. `path` is the message's path in the input.
 */
export function toRow(message: MessageEnvelope, path: InvalidChatIssue["path"]): MessageRow {
  const { id, role } = message;
  const parts = serialise(message.parts, [...path, "parts"], "[");
  const metadata = message.metadata === undefined ? null : serialise(message.metadata, [...path, "metadata"]);
  return { id, role, parts, metadata, digest: computeDigest({ id, role, parts, metadata }) };
}

/** The same message with other parts, which were parsed from JSON. */
export function withParts({ id, role, metadata }: MessageRow, parts: readonly unknown[]): MessageRow {
  const row = { id, role, parts: JSON.stringify(parts), metadata };
  return { ...row, digest: computeDigest(row) };
}

/** The digest of a message. Loads leave it out, because few callers need it. */
export const digestOf = (row: MessageRow): string => row.digest || computeDigest(row);

/** Equals the generated column `digest` of the stored message, whose expression is in schema.ts. */
function computeDigest({ id, role, parts, metadata }: Omit<MessageRow, "digest">): string {
  return sha256(`${withLength(id)}${withLength(role)}${withLength(metadata ?? "")}${parts}`).slice(0, 32);
}

/**
 * Uses the faster `hash` where it exists. Not by a named import, because a runtime without `hash` could not load this
 * file.
 */
const sha256 = (text: string): string =>
  crypto.hash ? crypto.hash("sha256", text, "hex") : createHash("sha256").update(text).digest("hex");

const withLength = (text: string) => `${Buffer.byteLength(text)}:${text}`;

export function toMessage<M extends UIMessage>({ id, role, parts, metadata }: Omit<MessageRow, "digest">): M {
  // Messages are stored as M and returned as M, without validation: one message of an older shape must not hide a whole
  // chat.
  return {
    id,
    role,
    ...(metadata === null ? undefined : { metadata: JSON.parse(metadata) }),
    parts: JSON.parse(parts),
  } as M;
}

/** Serialises a value of the input. `path` is its path there, `opening` the expected first character. */
export function serialise(value: unknown, path: InvalidChatIssue["path"], opening = ""): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (cause) {
    // A value that is too deep for JSON.stringify is too deep for another walk.
    const place = cause instanceof RangeError ? [] : pathOfFailure(value);
    throw new InvalidChatError([{ path: [...path, ...place], message: reasonOf(cause) }], { cause });
  }
  if (text?.startsWith(opening)) return text;
  throw new InvalidChatError([
    {
      path,
      message: "JSON.stringify turns this into something else; expected plain data, without functions or toJSON",
    },
  ]);
}

const reasonOf = (cause: unknown) =>
  cause instanceof RangeError
    ? "is nested too deeply for JSON.stringify; flatten it, or store it elsewhere and refer to it"
    : "JSON cannot carry this value (a BigInt, a cycle, or a getter or toJSON that throws); convert it to a string, " +
      "a number or plain data before saving";

/**
 * The path of the BigInt or cycle at which JSON.stringify failed; empty for a getter or toJSON that throws. A second
 * walk finds it, and keeps only the path to where it is: an attacker could otherwise choose a body whose paths fill the
 * memory.
 */
function pathOfFailure(root: unknown): (string | number)[] {
  const way: { key: string | number; value: unknown }[] = [];
  try {
    JSON.stringify(root, function (this: object, key, value: unknown) {
      // Depth first: the walk has left each object that does not contain this value.
      while (way.length > 0 && way.at(-1)?.value !== this) way.pop();
      way.push({ key: Array.isArray(this) ? Number(key) : key, value });
      return value;
    });
  } catch {
    const last = way.pop();
    const isCycle = way.some(({ value }) => value === last?.value);
    if (last && (typeof last.value === "bigint" || isCycle))
      return shown([...way, last].map(({ key }) => key).slice(1));
  }
  return [];
}

/** The beginning of a path, up to a key that may be chat content rather than the name of a field. */
function shown(path: (string | number)[]): (string | number)[] {
  const end = path.findIndex((key) => typeof key === "string" && !/^[\w$-]{1,40}$/.test(key));
  return path.slice(0, Math.min(end === -1 ? path.length : end, 20));
}
