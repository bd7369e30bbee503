import type { ClientChat } from "../protocol.ts";
import type { GetChatsInput } from "../types.ts";
import { badRequest } from "./errors.ts";

/** Of chats, messages or matches in one response. */
const maxLimit = 1_000;

export function limitIn(query: URLSearchParams, pageSize: number): number {
  const text = query.get("limit");
  if (text === null) return pageSize;
  const limit = Number(text);
  if (/^\d+$/.test(text) && limit >= 1 && limit <= maxLimit) return limit;
  throw badRequest(`limit: expected an integer from 1 to ${maxLimit}.`);
}

export function flagIn(query: URLSearchParams, name: string): boolean {
  const text = query.get(name) ?? "false";
  if (text === "true" || text === "false") return text === "true";
  throw badRequest(`${name}: expected true or false.`);
}

export function versionIn(query: URLSearchParams): number | undefined {
  const text = query.get("version");
  if (text === null) return undefined;
  if (/^\d{1,10}$/.test(text)) return Number(text);
  throw badRequest("version: expected the version of the chat that the page shows.");
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
  throw badRequest("cursor: expected the cursor of the previous page, unchanged.");
}
