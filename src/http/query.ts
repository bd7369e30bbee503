import type { ClientChat } from "../protocol.ts";
import type { GetChatsInput } from "../types.ts";
import { badRequest } from "./errors.ts";

/** Of chats, messages or matches in one response. */
const maxLimit = 1_000;
/** Of Postgres. */
const maxInteger = 2_147_483_647;

export const limitIn = (query: URLSearchParams, pageSize: number): number =>
  integerIn(query, "limit", maxLimit) ?? pageSize;

/** The page of a new chat may send 0, as it shows nothing. */
export const versionIn = (query: URLSearchParams): number | undefined =>
  integerIn(query, "version", maxInteger, 0) || undefined;

function integerIn(query: URLSearchParams, name: string, max: number, min = 1): number | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return value;
  throw badRequest(`${name}: expected an integer from ${min} to ${max}.`);
}

export function flagIn(query: URLSearchParams, name: string): boolean {
  const text = query.get(name) ?? "false";
  if (text === "true" || text === "false") return text === "true";
  throw badRequest(`${name}: expected true or false.`);
}

/** The place of a chat in the list of chats. */
export const encodeListCursor = ({ id, updatedAt }: Pick<ClientChat, "id" | "updatedAt">): string =>
  `${updatedAt.getTime()}.${id}`;

export function listCursorIn(query: URLSearchParams): GetChatsInput["before"] {
  const text = query.get("cursor");
  if (text === null) return undefined;
  const [, milliseconds, id = ""] = text.match(/^(-?\d+)\.(.+)$/s) ?? [];
  const updatedAt = new Date(Number(milliseconds));
  if (id !== "" && !Number.isNaN(updatedAt.getTime())) return { id, updatedAt };
  throw badRequest("cursor: expected that of the previous page.");
}
