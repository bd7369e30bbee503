import type { Context } from "../database/context.ts";
import { refuseTransaction } from "../database/transaction.ts";
import { withTypedErrors } from "../errors/typed-errors.ts";
import type { Parsed, resumeTurnInput } from "../input.ts";
import type { AnswerStream } from "../types.ts";
import { followRecording, isSilent } from "./follow-recording.ts";
import { confirmAfter } from "./recover-turns.ts";
import { sleep } from "./sleep.ts";
import { streamAnswer } from "./stream-answer.ts";
import type { RecordingPage } from "./turn-queries.ts";
import { createTurnReader, type TurnReader } from "./turn-reader.ts";

export async function resumeTurn(
  context: Context,
  { userId, chatId, version }: Parsed<typeof resumeTurnInput>,
): Promise<AnswerStream | null> {
  refuseTransaction(
    context,
    "ends before the stream does; expected the database itself. Call resumeTurn outside the transaction",
  );
  const reader = createTurnReader(context, { userId, chatId });
  const page = await readFirstPage(reader);
  if (page && !page.turn.isStale) {
    return toByteStream(context, page.turn.version, (signal) => followRecording(reader, page, signal));
  }

  const chat = await (page ? reader.recover(isSilent(page.turn)) : reader.loadLastMessage());
  const last = chat?.rows.at(-1);
  if (!chat || last?.role !== "assistant") return null;
  const isNews = last.id === page?.turn.answerId || (version !== undefined && chat.chat.version > version);
  return isNews ? toByteStream(context, chat.chat.version - 1, () => streamAnswer(last, chat.turns)) : null;
}

/** The first page of the turn that runs. Reads it again some time later if the turn seems dead. */
async function readFirstPage(reader: TurnReader): Promise<RecordingPage | undefined> {
  const page = await reader.readPage({ position: 0 });
  if (!page || !isSilent(page.turn)) return page;
  await sleep(confirmAfter);
  // By its id, because meanwhile another client may have recovered it.
  return reader.readPage({ turnId: page.turn.id, position: 0 });
}

/** The body of a response. Queries the database only when the client reads. */
function toByteStream(
  context: Context,
  version: number,
  textsUntil: (signal: AbortSignal) => AsyncGenerator<string>,
): AnswerStream {
  const encoder = new TextEncoder();
  const cancelled = new AbortController();
  const texts = textsUntil(cancelled.signal);
  const stream = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await withTypedErrors("resumeTurn", context.tables, texts.next());
        if (done) controller.close();
        else controller.enqueue(encoder.encode(value));
      },
      cancel: () => cancelled.abort(),
    },
    { highWaterMark: 0 },
  );
  return Object.assign(stream, { version });
}
