import type { ChatList, ChatSearch, ClientChatPage } from "../protocol.ts";
import type { Chat } from "../types.ts";
import { HttpError, isInvalid, notFound } from "./errors.ts";
import { encodeListCursor, flagIn, limitIn, listCursorIn } from "./query.ts";
import { idIn } from "./question.ts";
import { readJsonObject, refuseOtherKeys } from "./request-body.ts";
import { emptyResponse, jsonResponse, toClientChat } from "./responses.ts";
import type { RouteCall } from "./routes.ts";
import { validate } from "./standard-schema.ts";

/** `GET /`: a page of the list of chats, or of the matches of a search. */
export async function listChats(call: RouteCall): Promise<Response> {
  const { settings, userId, query } = call;
  const search = query.get("search");
  if (search !== null) return searchChats(call, search);
  const limit = limitIn(query, settings.pageSize);
  const before = listCursorIn(query);
  // One more than a page has, to know whether there is another page.
  const found = await settings.store.getChats({
    userId,
    archived: flagIn(query, "archived"),
    limit: limit + 1,
    before,
  });
  const chats = found.slice(0, limit);
  const last = chats.at(-1);
  const cursor = last && found.length > limit ? encodeListCursor(last) : null;
  return jsonResponse({ chats: chats.map(toClientChat), cursor } satisfies ChatList);
}

async function searchChats({ settings, userId, query: parameters }: RouteCall, query: string): Promise<Response> {
  const limit = limitIn(parameters, settings.pageSize);
  const page = await settings.store.searchChats({
    userId,
    query,
    limit,
    cursor: parameters.get("cursor") ?? undefined,
  });
  const matches = page.matches.map((match) => ({ ...match, chat: toClientChat(match.chat) }));
  return jsonResponse({ ...page, matches } satisfies ChatSearch);
}

/** `GET /:id`: the chat with its last messages, or the last before a message. */
export async function getChat(call: RouteCall): Promise<Response> {
  const { settings, userId, params, query } = call;
  const before = query.get("before") ?? undefined;
  const limit = limitIn(query, settings.pageSize);
  const page = await settings.store.getMessages({ userId, chatId: params.id, limit, before }).catch((error) => {
    throw isGone(error, before)
      ? new HttpError("conflict", "The message is gone. Load the last messages again.")
      : error;
  });
  if (!page) throw notFound();
  const { chat, branches = [], ...messages } = page;
  return jsonResponse({ chat: toClientChat(chat), ...messages, branches } satisfies ClientChatPage);
}

/** Whether the message before which others were asked for is not stored any more. */
const isGone = (error: unknown, before = "") =>
  /^[^\0]{1,255}$/.test(before) && isInvalid(error) && error.issues.some(({ path: [key] }) => key === "before");

/** `PATCH /:id`: renames or archives the chat, or replaces its metadata. */
export async function updateChat(call: RouteCall): Promise<Response> {
  const { settings, request, userId, params } = call;
  const changes = await readJsonObject(request, settings.maxBodyBytes);
  const schema = settings.metadata;
  const advice = " To accept metadata, give createChatHandler a schema as the option metadata.";
  refuseOtherKeys(changes, schema ? ["title", "archived", "metadata"] : ["title", "archived"], schema ? "" : advice);
  const { metadata, ...others } = changes;
  const hasMetadata = schema && metadata !== undefined && metadata !== null;
  const checked = hasMetadata ? await validate(schema, metadata, "metadata") : (metadata as null | undefined);
  return chatResponse(await settings.store.updateChat({ ...others, userId, chatId: params.id, metadata: checked }));
}

/** `DELETE /:id` */
export async function deleteChat({ settings, userId, params }: RouteCall): Promise<Response> {
  if (!(await settings.store.deleteChat({ userId, chatId: params.id }))) throw notFound();
  return emptyResponse();
}

/** `POST /:id/fork`: copies the chat, up to and including a message. */
export async function forkChat({ settings, request, userId, params }: RouteCall): Promise<Response> {
  const body = await readJsonObject(request, settings.maxBodyBytes);
  refuseOtherKeys(body, ["id", "throughMessageId", "title"]);
  const { throughMessageId, title } = body as { throughMessageId?: string; title?: string };
  const copy = { newChatId: idIn(body), throughMessageId, title };
  return chatResponse(await settings.store.forkChat({ ...copy, userId, chatId: params.id }), "chat or message", 201);
}

/** `DELETE /:id/messages/:messageId`: deletes the message, and with `following=true` all later ones. */
export async function deleteMessage({ settings, userId, params, query }: RouteCall): Promise<Response> {
  const following = flagIn(query, "following");
  const { id: chatId, messageId } = params;
  return chatResponse(await settings.store.deleteMessage({ userId, chatId, messageId, following }), "chat or message");
}

/** `POST /:id/branches/:branchId`: makes the branch the end of the conversation. */
export async function switchBranch({ settings, userId, params }: RouteCall): Promise<Response> {
  const { id: chatId, branchId } = params;
  return chatResponse(await settings.store.switchBranch({ userId, chatId, branchId }), "chat or branch");
}

function chatResponse(chat: Chat | null, what = "chat", status = 200): Response {
  if (!chat) throw notFound(what);
  return jsonResponse(toClientChat(chat), status);
}
