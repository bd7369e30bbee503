import crypto, { createHash } from "node:crypto";
import type { UIMessage } from "ai";
import { InvalidChatError, type InvalidChatIssue } from "../errors.ts";

/** A message whose envelope has been checked. Its parts and metadata are anything JSON can carry. */
export interface MessageEnvelope {
  id: string;
  role: string;
  parts: unknown[];
  metadata?: unknown;
}

/** A message as it is stored. `parts` and `metadata` are JSON texts; no metadata is null, metadata of null is "null". */
export interface MessageRow {
  id: string;
  role: string;
  parts: string;
  metadata: string | null;
  /** 16 bytes in hex that stand for everything above, or "" where {@link digestOf} has to be asked. */
  digest: string;
}

/** A checked and serialised conversation, on its way into the database. */
export interface Save {
  userId: string;
  chatId: string;
  title?: string | undefined;
  /** 0: the chat must not exist yet. */
  expectedVersion?: number | undefined;
  rows: readonly MessageRow[];
}

/** Serialises a message, once: from here on these texts are what was said. `path` is where it is in the input. */
export function toRow(message: MessageEnvelope, path: InvalidChatIssue["path"]): MessageRow {
  const { id, role } = message;
  const parts = serialise(message.parts, [...path, "parts"], "[");
  const metadata = message.metadata === undefined ? null : serialise(message.metadata, [...path, "metadata"]);
  return { id, role, parts, metadata, digest: computeDigest({ id, role, parts, metadata }) };
}

/** The same message with other parts, which came from JSON. */
export function withParts({ id, role, metadata }: MessageRow, parts: readonly unknown[]): MessageRow {
  const row = { id, role, parts: JSON.stringify(parts), metadata };
  return { ...row, digest: computeDigest(row) };
}

/** The digest of a message also if it was loaded without: few are asked for it. */
export const digestOf = (row: MessageRow): string => row.digest || computeDigest(row);

/** The bytes that the generated column `digest` holds once the message is stored (its expression is in schema.ts). */
function computeDigest({ id, role, parts, metadata }: Omit<MessageRow, "digest">): string {
  return sha256(`${withLength(id)}${withLength(role)}${withLength(metadata ?? "")}${parts}`).slice(0, 32);
}

/** By the faster `hash` where there is one. It is no named import: a runtime without it could not load this file. */
const sha256 = (text: string): string =>
  crypto.hash ? crypto.hash("sha256", text, "hex") : createHash("sha256").update(text).digest("hex");

const withLength = (text: string) => `${Buffer.byteLength(text)}:${text}`;

/**
 * A digest in hex over the order and digest of each message before the one at `start`, then the same for each message after
 * that and for the end: what both one-statement saves compare with what they compute in SQL.
 */
export function prefixDigests(rows: readonly MessageRow[], start: number): string[] {
  const bytes = Buffer.alloc(rows.length * 20);
  rows.forEach((row, order) => {
    bytes.writeInt32BE(order, order * 20);
    bytes.write(row.digest, order * 20 + 4, "hex");
  });
  const running = createHash("sha256").update(bytes.subarray(0, start * 20));
  const digests = [running.copy().digest("hex")];
  for (let order = start; order < rows.length; order++) {
    running.update(bytes.subarray(order * 20, order * 20 + 20));
    digests.push(running.copy().digest("hex"));
  }
  return digests;
}

export function toMessage<M extends UIMessage>({ id, role, parts, metadata }: Omit<MessageRow, "digest">): M {
  // What was stored as M is read as M. It is not validated: one message of an older shape must not hide a whole chat.
  return {
    id,
    role,
    ...(metadata === null ? undefined : { metadata: JSON.parse(metadata) }),
    parts: JSON.parse(parts),
  } as M;
}

/** `value` as JSON. `path` is where it is in the input. */
export function serialise(value: unknown, path: InvalidChatIssue["path"], opening = ""): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (cause) {
    // What is too deep for one walk is too deep for another.
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
 * Where the BigInt or the cycle is that JSON.stringify failed at; of what throws by itself it cannot be told. Found by a second
 * walk, which remembers only the way to where it is: a body can be made such that a path for all it has seen fills the memory.
 */
function pathOfFailure(root: unknown): (string | number)[] {
  const way: { key: string | number; value: unknown }[] = [];
  try {
    JSON.stringify(root, function (this: object, key, value: unknown) {
      // Depth first: what does not hold this value has been left.
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

/** The beginning of a path, up to a key that may be what somebody said rather than the name of a field. */
function shown(path: (string | number)[]): (string | number)[] {
  const end = path.findIndex((key) => typeof key === "string" && !/^[\w$-]{1,40}$/.test(key));
  return path.slice(0, Math.min(end === -1 ? path.length : end, 20));
}
