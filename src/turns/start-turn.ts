import type { UIMessage } from "ai";
import { lastOf } from "../conversation/load-window.ts";
import { toMessage, toRow } from "../conversation/message-row.ts";
import { deletedAfterEnd } from "../conversation/turn-liveness.ts";
import type { Context } from "../database/context.ts";
import { asUser } from "../database/row-level-security.ts";
import { refuseTransaction } from "../database/transaction.ts";
import { ChatConflictError } from "../errors/errors.ts";
import { parseInput } from "../errors/parse-input.ts";
import { withTypedErrors } from "../errors/typed-errors.ts";
import { answerInput, type Parsed, type startTurnInput } from "../input.ts";
import type { Turn } from "../types.ts";
import { createAnswerSaver } from "./save-answer.ts";
import { saveQuestion } from "./save-question.ts";
import { type ActorInChat, deleteEndedTurns, deleteTurn, heartbeat, markAbandoned } from "./turn-queries.ts";
import { createTurnRecorder } from "./turn-recorder.ts";

export async function startTurn<M extends UIMessage>(
  context: Context,
  { userId, chatId, title, message, limit, tools: clientTools, ...intent }: Parsed<typeof startTurnInput>,
): Promise<Turn<M>> {
  refuseTransaction(
    context,
    "ends before the answer is saved; expected the database itself. Start the turn before or after the transaction, " +
      "or save both messages in it with upsertChat",
  );
  // Before the model is called, so that a failure of the model does not lose the question.
  const asked = await saveQuestion(context, {
    userId,
    chatId,
    title,
    message: toRow(message, ["message"]),
    limit,
    request: { ...intent, clientTools },
  });
  const { chat, turn, before } = asked;
  const conversation = [...before, turn.question];
  const messages = (limit === undefined ? conversation : lastOf(conversation, limit)).map((row) => toMessage<M>(row));

  /** The turn keeps access to its chat when another user claims that. */
  const actor = { userId, chatId, turnId: turn.id };
  const asTurn = <T>(work: (context: Context) => Promise<T>) => asUser(context, actor, work);
  const saveAnswer = createAnswerSaver(context, actor, asked, limit);
  const stopping = new AbortController();
  const recorder = createTurnRecorder(
    (position, text) => asTurn((context) => heartbeat(context, actor, turn.id, position, text)),
    () => stopping.abort(),
  );

  let saved: Promise<void> | undefined;
  let hasFailed = false;

  const onEnd = (event: { responseMessage: M }) => {
    saved ??= withTypedErrors("startTurn", context.tables, endWith(event)).catch((error) => {
      // The next call tries again.
      saved = undefined;
      throw error;
    });
    return saved;
  };

  async function endWith(event: { responseMessage: M }): Promise<void> {
    const answer = toRow(parseInput(answerInput, event).responseMessage, ["responseMessage"]);
    // Readers take the end of a turn to mean that its recording is complete and its answer stored.
    await recorder.settle();
    try {
      await saveAnswer({ answer, isRecorded: recorder.hasBegun(), hasFailed });
    } catch (error) {
      // Readers need not wait for heartbeats: the recording can become the answer at once.
      if (recorder.hasBegun() && !ChatConflictError.isInstance(error)) {
        await asTurn((context) => markAbandoned(context, actor, turn.id)).catch(() => {});
      }
      throw error;
    } finally {
      recorder.close();
    }
    if (recorder.hasBegun()) deleteEndedTurnsLater(context, actor);
  }

  async function fail(): Promise<void> {
    // If the answer is being saved, wait for the outcome. A turn whose answer is stored has ended already.
    const isSaved = await saved?.then(
      () => true,
      () => false,
    );
    if (isSaved) return;
    hasFailed = true;
    stopping.abort();
    recorder.close();
    const deleted = asTurn((context) => deleteTurn(context, actor, turn.id));
    await withTypedErrors("turn.fail", context.tables, deleted);
  }

  return {
    chat,
    messages,
    persist: { originalMessages: messages, generateMessageId: () => turn.answerId, onEnd, onFinish: onEnd },
    abortSignal: stopping.signal,
    consumeSseStream: recorder.consume,
    fail,
  };
}

/** A function of its own, so that the timer does not keep the conversation in memory. */
function deleteEndedTurnsLater(context: Context, actor: ActorInChat): void {
  const work = () => asUser(context, actor, (context) => deleteEndedTurns(context, actor)).catch(() => {});
  // On edge runtimes the timer is a number, and the process may end before it fires.
  setTimeout(work, deletedAfterEnd).unref?.();
}
