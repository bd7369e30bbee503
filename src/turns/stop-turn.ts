import type { Context } from "../database/context.ts";
import { retryOnConflict } from "../database/retry-on-conflict.ts";
import type { Parsed, stopTurnInput } from "../input.ts";
import { requestStop } from "./turn-queries.ts";

export function stopTurn(
  context: Context,
  { userId, chatId, messageId }: Parsed<typeof stopTurnInput>,
): Promise<boolean> {
  return retryOnConflict(context, () => requestStop(context, { userId, chatId }, messageId));
}
