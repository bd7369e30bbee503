import type { StoredChat } from "../conversation/load-chat.ts";
import { loadWindow } from "../conversation/load-window.ts";
import type { Context } from "../database/context.ts";
import { asUser } from "../database/row-level-security.ts";
import { confirmDead, loadAndRecover } from "./recover-turns.ts";
import { type RecordingPage, readRecording } from "./turn-queries.ts";

/** Reads the turns of a chat as its user. */
export interface TurnReader {
  /** The next page of a recording: of the turn with this id, or of the newest turn that runs. */
  readPage(from: { turnId?: string; position: number }): Promise<RecordingPage | undefined>;
  /** The chat with its last message, or with the last one up to and including `upTo`. */
  loadLastMessage(upTo?: string): Promise<StoredChat | null>;
  /** The chat, after the recordings of dead turns have become their answers. */
  recover(isConfirmed: boolean): Promise<StoredChat | null>;
}

export function createTurnReader(context: Context, ids: { userId: string; chatId: string }): TurnReader {
  const window = { limit: 1 };
  return {
    readPage: (from) => asUser(context, ids, (context) => readRecording(context, ids, from)),
    loadLastMessage: (upTo) =>
      asUser(context, ids, (context) => loadWindow(context, ids, { ...window, upTo, forTurn: true })),
    recover: (isConfirmed) => {
      const load = (context: Context, isConfirmed: boolean) => loadAndRecover(context, ids, { window, isConfirmed });
      return confirmDead(context, ids, load, isConfirmed);
    },
  };
}
