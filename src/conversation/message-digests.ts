import { createHash } from "node:crypto";
import type { MessageRow } from "./message-row.ts";

/**
 * The orders and digests of messages, one after the other: 4 bytes for the order and 16 for the digest. `writeTail`
 * computes the same in SQL, so that both sides can compare conversations.
 */
export type MessageDigests = Buffer;

const recordLength = 20;

export function digestsOf(rows: readonly MessageRow[]): MessageDigests {
  const digests = Buffer.alloc(rows.length * recordLength);
  rows.forEach((row, order) => {
    digests.writeInt32BE(order, order * recordLength);
    digests.write(row.digest, order * recordLength + 4, "hex");
  });
  return digests;
}

export const countOf = (digests: MessageDigests): number => digests.length / recordLength;

/** The order of the message at a position. */
export const orderAt = (digests: MessageDigests, position: number): number =>
  digests.readInt32BE(position * recordLength);

/** The hashes in hex of the first `start` messages, of one more, and so on, and of all messages. */
export function prefixHashes(digests: MessageDigests, start: number): string[] {
  const running = createHash("sha256").update(digests.subarray(0, start * recordLength));
  const hashes = [running.copy().digest("hex")];
  for (let at = start * recordLength; at < digests.length; at += recordLength) {
    running.update(digests.subarray(at, at + recordLength));
    hashes.push(running.copy().digest("hex"));
  }
  return hashes;
}

/** How many messages at the beginning are the same, in the same order. */
export function commonPrefix(a: MessageDigests, b: MessageDigests): number {
  const most = Math.min(countOf(a), countOf(b));
  let length = 0;
  const recordAt = (digests: MessageDigests) => digests.subarray(length * recordLength, (length + 1) * recordLength);
  while (length < most && recordAt(a).equals(recordAt(b))) length++;
  return length;
}

/** The digests in hex of the messages from `start` on. */
export function digestsFrom(digests: MessageDigests, start: number): string[] {
  const texts: string[] = [];
  for (let at = start * recordLength; at < digests.length; at += recordLength) {
    texts.push(digests.toString("hex", at + 4, at + recordLength));
  }
  return texts;
}
