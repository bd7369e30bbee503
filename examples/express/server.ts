import { once } from "node:events";
import { getRequestListener } from "@hono/node-server";
import { streamText } from "ai";
import { createChatHandler } from "drizzle-chat-store/handler";
import express from "express";
import { exportChats } from "./export.ts";
import { chatModel } from "./model.ts";
import { openStore } from "./store.ts";
import { userIdOf } from "./user.ts";

const host = process.env.HOST || "127.0.0.1";
const app = express().disable("x-powered-by");
const server = app.listen(Number(process.env.PORT || 3000), host);
// The port comes first, because it keeps a second process from opening the same embedded database. Early requests wait.
const opened = once(server, "listening").then(openStore);
let isStopping = false;
app.use(async (_request, response, next) => {
  await opened;
  if (!isStopping) return next();
  // A client that keeps its connection may send a request after the server has begun to stop.
  const error = { code: "unavailable", message: "The server is stopping. Send the request again." };
  response.status(503).set({ connection: "close", "retry-after": "2" }).json({ error });
});
const { store, place, close } = await opened;

/** Answers that are being generated and saved, also those whose clients have left. */
const answers = new Set<Promise<unknown>>();
/** Ends them when the time to stop is up. The store keeps their beginnings. */
const shutdown = new AbortController();

const chat = createChatHandler({
  store,
  userId: userIdOf,
  // Older messages stay in the chat, but the model does not get them.
  limit: 100,
  answer: ({ modelMessages, abortSignal }) =>
    streamText({
      model: chatModel(),
      messages: modelMessages,
      abortSignal: AbortSignal.any([abortSignal, shutdown.signal]),
      // Logs no other fields of the error: they contain the whole prompt.
      onError: ({ error }) => console.error(error instanceof Error ? error.stack : error),
    }),
  waitUntil: (answer) => {
    answers.add(answer);
    void answer.finally(() => answers.delete(answer));
  },
});

// Before express.json(), if you use it: the handler reads the bodies itself.
app.all("/api/chat{/*rest}", getRequestListener(chat, { overrideGlobalObjects: false }));
// A route of your own beside the handler.
app.get("/api/export", getRequestListener(exportChats(store), { overrideGlobalObjects: false }));

const address = server.address();
const port = typeof address === "object" && address?.port;
console.log(`Listening on http://${host}:${port}, with chats in ${place}.`);

async function stop() {
  // npm passes Ctrl-C on to a process that already got it from the terminal.
  if (isStopping) return;
  isStopping = true;
  const closed = once(server.close(), "close");
  setTimeout(() => shutdown.abort(), Number(process.env.SHUTDOWN_SECONDS || 10) * 1_000).unref();
  await finishAnswers();
  // Some clients keep their connections for longer, or do not read their responses.
  setTimeout(() => server.closeAllConnections(), 1_000).unref();
  await closed;
  // Also those whose questions were being saved when the server began to stop.
  await finishAnswers();
  await close();
}

async function finishAnswers() {
  while (answers.size > 0) await Promise.all(answers);
}
process.on("SIGINT", stop).on("SIGTERM", stop);
