import { pipeline } from "node:stream/promises";
import { ChatConflictError, type ChatStore } from "drizzle-chat-store";
import express, { type Request, Router } from "express";
import { z } from "zod";
import { checked, HttpError, noSuch } from "./errors.ts";
import { question } from "./question.ts";
import { signedIn, userIdOf } from "./user.ts";

const flag = z.enum(["true", "false"]).transform((text) => text === "true");
// JSON of any other shape is stored, too. An application of your own lists here what it has to say.
const metadata = z.record(z.string(), z.unknown());

const listQuery = z.object({ archived: flag.optional(), limit: z.coerce.number().optional() });
// The most is for the server's sake. All that is left out, the store checks.
const limit = z.coerce.number().max(200).default(30);
const page = { limit, before: z.string().optional() };
const pageQuery = z.object(page);
const searchQuery = z.object({ query: z.string(), limit, cursor: z.string().optional() });
const deletionQuery = z.object({ following: flag.optional() });
const changes = z.object({
  title: z.string().optional(),
  titleIfEmpty: z.string().optional(),
  expectedTitle: z.string().optional(),
  archived: z.boolean().optional(),
  metadata: metadata.nullable().optional(),
});
const fork = z.object({ id: z.string(), throughMessageId: z.string().optional(), title: z.string().optional() });
// A request can be forged. What one has said oneself, one may change; but what the assistant has said is taken for the model's
// own words, by the model in every later turn and by whoever reads it.
const ownMessage = question.omit({ id: true }).extend({ metadata: metadata.optional() });

/** All that is done with chats, other than to talk in them. */
export function chatRoutes(store: ChatStore): Router {
  // Strict, or DELETE /api/chats/ with an id forgotten at its end would be that of all chats.
  const routes = Router({ strict: true });
  const json = express.json({ limit: "1mb" });

  routes.get("/api/chats", signedIn, async (request, response) => {
    response.json(await store.getChats({ ...checked(listQuery, request.query), userId: userIdOf(request) }));
  });

  routes.delete("/api/chats", signedIn, async (request, response) => {
    response.json({ deleted: await store.deleteAllChats({ userId: userIdOf(request) }) });
  });

  routes.get("/api/chats/:id", signedIn, async (request, response) => {
    response.json(found(await store.getChat(chatOf(request))));
  });

  routes.get("/api/chats/:id/messages", signedIn, async (request, response) => {
    response.json(found(await store.getMessages({ ...checked(pageQuery, request.query), ...chatOf(request) })));
  });

  routes.get("/api/search", signedIn, async (request, response) => {
    response.json(await store.searchChats({ ...checked(searchQuery, request.query), userId: userIdOf(request) }));
  });

  routes.patch("/api/chats/:id", signedIn, json, async (request, response) => {
    response.json(found(await store.updateChat({ ...checked(changes, request.body), ...chatOf(request) })));
  });

  routes.delete("/api/chats/:id", signedIn, async (request, response) => {
    if (!(await store.deleteChat(chatOf(request)))) throw noSuch("chat");
    response.status(204).end();
  });

  routes.post("/api/chats/:id/fork", signedIn, json, async (request, response) => {
    const { id: newChatId, ...rest } = checked(fork, request.body);
    const forked = await store.forkChat({ ...rest, ...chatOf(request), newChatId }).catch((error) => {
      // Somebody else's id is answered as elsewhere. That it is taken cannot be hidden from who wants to take it; all else is.
      if (!ChatConflictError.isInstance(error)) throw error;
      throw new HttpError(409, "You have a chat with this id already.");
    });
    response.status(201).json(found(forked, "chat, or no such message in it"));
  });

  routes.put("/api/chats/:id/messages/:messageId", signedIn, json, async (request, response) => {
    const message = { ...checked(ownMessage, request.body), id: messageIdOf(request) };
    response.json(found(await store.updateMessage({ ...chatOf(request), message }), "message"));
  });

  routes.delete("/api/chats/:id/messages/:messageId", signedIn, async (request, response) => {
    const which = { ...checked(deletionQuery, request.query), ...chatOf(request), messageId: messageIdOf(request) };
    response.json(found(await store.deleteMessage(which), "message"));
  });

  routes.get("/api/export", signedIn, async (request, response) => {
    const chats = store.exportChats({ userId: userIdOf(request) });
    const lines = async function* () {
      for await (const chat of chats) yield `${JSON.stringify(chat)}\n`;
    };
    response.type("application/x-ndjson");
    // Reads on as the client does, and stops when it leaves. What fails before the first line still becomes a status, because the
    // response is left open; what fails later breaks the connection off, so that nobody takes a part for the whole.
    await pipeline(lines, response, { end: false }).catch((error) => {
      if (!response.destroyed) throw error;
    });
    response.end();
  });

  return routes;
}

const chatOf = (request: Request) => ({ userId: userIdOf(request), chatId: String(request.params.id) });
const messageIdOf = (request: Request) => String(request.params.messageId);

/** What is null for somebody else's chat just as for one that does not exist. */
function found<T>(stored: T | null, what = "chat"): T {
  if (stored === null) throw noSuch(what);
  return stored;
}
