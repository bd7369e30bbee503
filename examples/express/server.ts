import { once } from "node:events";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import {
  convertToModelMessages,
  createUIMessageStream,
  pipeUIMessageStreamToResponse,
  streamText,
  toUIMessageStream,
  UI_MESSAGE_STREAM_HEADERS,
} from "ai";
import express, { type Request, type Response } from "express";
import { chatRoutes } from "./chats.ts";
import { answerWithError, checked, describe, HttpError } from "./errors.ts";
import { chatModel } from "./model.ts";
import { chatRequest, titleOf } from "./question.ts";
import { openStore } from "./store.ts";
import { asOneStream } from "./streams.ts";
import { signedIn, userIdOf } from "./user.ts";

const host = process.env.HOST || "127.0.0.1";
const app = express().disable("x-powered-by");
const server = app.listen(Number(process.env.PORT || 3000), host);
// The port comes first, because it keeps a second process from opening the same embedded database. Early requests wait.
const opened = once(server, "listening").then(openStore);
app.use(async (_request, _response, next) => {
  await opened;
  next();
});
const { store, place, close } = await opened;

app.use(chatRoutes(store));

/** Answers that are being generated and saved, also those whose clients have gone. */
const turns = new Set<Promise<void>>();
/** Ends them when there is no more time. What was said until then is stored. */
const shutdown = new AbortController();
let stopping = false;

app.post("/api/chat", signedIn, express.json({ limit: "1mb" }), (request, response) => {
  // A connection that is kept, or a body that took its time, may bring a question after the server has begun to stop.
  if (stopping) {
    response.set("connection", "close");
    throw new HttpError(503, "The server is stopping. Send it again.");
  }
  const answered = asOneStream(userIdOf(request), () => takeTurn(request, response));
  const turn = answered.finally(() => turns.delete(turn));
  turns.add(turn);
  return turn;
});

async function takeTurn(request: Request, response: Response) {
  const { id: chatId, message, trigger, messageId } = checked(chatRequest, request.body);
  const title = titleOf(message);
  const asked = { userId: userIdOf(request), chatId, message, trigger, messageId, title };
  // More would cost more of the model's time than they are worth to it. All of them stay in the chat.
  const turn = await store.startTurn({ ...asked, limit: 100 });
  const result = streamText({
    model: chatModel(),
    messages: await convertToModelMessages(turn.messages, { ignoreIncompleteToolCalls: true }),
    abortSignal: AbortSignal.any([turn.abortSignal, shutdown.signal]),
    // Not its other fields, which hold the whole prompt.
    onError: ({ error }) => console.error(error instanceof Error ? error.stack : error),
  });
  let consumed: Promise<void> | undefined;
  const piped = pipeUIMessageStreamToResponse({
    response,
    // With the question. A page needs it to ask for what it does not show yet.
    headers: { "x-chat-version": String(turn.chat.version) },
    stream: createUIMessageStream({
      execute: ({ writer }) => writer.merge(toUIMessageStream({ stream: result.stream, ...turn.persist })),
      // It is too late for a status, so that the client is told in the stream.
      onError: (error) => describe(error).message,
    }),
    // Reads to the end even if the client does not, and records what comes for those who join.
    consumeSseStream: (options) => {
      consumed = turn.consumeSseStream(options);
    },
  });
  await Promise.all([piped, consumed]);
}

app.get("/api/chat/:id/stream", signedIn, (request, response) =>
  asOneStream(userIdOf(request), () => followTurn(request, response)),
);

async function followTurn(request: Request, response: Response) {
  const chatId = String(request.params.id);
  const version = Number(request.query.version) || undefined;
  const stream = await store.resumeTurn({ userId: userIdOf(request), chatId, version });
  if (!stream) {
    response.status(204).end();
    return;
  }
  response.set(UI_MESSAGE_STREAM_HEADERS).flushHeaders();
  await pipeline(Readable.fromWeb(stream), response).catch((error) => {
    // Whoever leaves may come back, and begins anew then.
    if (error.code !== "ERR_STREAM_PREMATURE_CLOSE") console.error(error);
  });
}

app.delete("/api/chat/:id/stream", signedIn, async (request, response) => {
  const chatId = String(request.params.id);
  const messageId = request.query.message === undefined ? undefined : String(request.query.message);
  await store.stopTurn({ userId: userIdOf(request), chatId, messageId });
  response.status(204).end();
});

app.use(() => {
  throw new HttpError(404, "There is nothing at this address.");
});
app.use(answerWithError);

const address = server.address();
const port = typeof address === "object" && address?.port;
console.log(`Listening on http://${host}:${port}, with chats in ${place}.`);

async function stop() {
  // npm passes Ctrl-C on to a process that already got it from the terminal.
  if (stopping) return;
  stopping = true;
  const closed = once(server.close(), "close");
  const finished = finishTurns();
  const seconds = Number(process.env.SHUTDOWN_SECONDS || 10);
  await Promise.race([finished, sleep(seconds * 1_000, undefined, { ref: false })]);
  shutdown.abort();
  // Clients may hold on to their connections for longer than one likes to wait, or not read what they are sent.
  setTimeout(() => server.closeAllConnections(), 1_000).unref();
  await Promise.all([finished, closed]);
  await close();
}

async function finishTurns() {
  while (turns.size > 0) await Promise.allSettled(turns);
}
process.on("SIGINT", stop).on("SIGTERM", stop);
