import { ChatConflictError, ChatOwnershipError, InvalidChatError } from "drizzle-chat-store";
import { z } from "zod";
import { TooManyStreams } from "./streams";

/** In bytes. Parsing what is larger would cost everybody else's requests their time. */
const maxBody = 1_000_000;

class TooLarge extends Error {}

/** The request's body, which must be JSON. */
export async function bodyOf(request: Request): Promise<unknown> {
  const decoder = new TextDecoder();
  let [text, size] = ["", 0];
  for await (const chunk of request.body ?? []) {
    size += chunk.byteLength;
    if (size > maxBody) throw new TooLarge();
    text += decoder.decode(chunk, { stream: true });
  }
  return JSON.parse(text + decoder.decode());
}

export function refusal(error: unknown): Response {
  if (error instanceof SyntaxError) return refuse(400, "The request's body is not JSON.");
  if (error instanceof TooLarge) return refuse(413, `The request's body has more than ${maxBody} bytes.`);
  if (error instanceof z.ZodError) return refuse(400, z.prettifyError(error));
  if (InvalidChatError.isInstance(error)) return refuse(400, error.message);
  // The same as for a chat that does not exist would be.
  if (ChatOwnershipError.isInstance(error)) return notThere();
  if (ChatConflictError.isInstance(error)) return refuse(409, error.message);
  if (error instanceof TooManyStreams) return refuse(429, "Too many answers are open.", { "retry-after": "2" });
  throw error;
}

/** No such chat, or no such message in it; or it is another user's, which nobody is told. */
export function notThere(): Response {
  return refuse(404, "There is no such chat or message.");
}

/** Other messages were asked for by one that is not there any more. */
export function gone(): Response {
  return refuse(409, "The message is gone. Load the last ones again.");
}

function refuse(status: number, message: string, headers: Record<string, string> = {}): Response {
  return Response.json({ error: message }, { status, headers });
}
