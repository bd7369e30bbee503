import type { UIMessage } from "ai";
import { isUnaddressable, type QuestionBody } from "../protocol.ts";
import { badRequest } from "./errors.ts";
import type { HandlerSettings } from "./options.ts";
import { readJsonObject, refuseOtherKeys } from "./request-body.ts";
import { validate } from "./standard-schema.ts";

/** The request for an answer. */
export interface Question extends Pick<QuestionBody, "trigger" | "messageId"> {
  chatId: string;
  message: UIMessage;
  body: unknown;
}

/** Reads and checks the body of `POST /`, whatever transport has sent it. */
export async function readQuestion(request: Request, settings: HandlerSettings): Promise<Question> {
  const { id, message, messages, trigger, messageId, ...others } = await readJsonObject(request, settings.maxBodyBytes);
  const body = await checkBody(others, settings.body);
  // The store checks ids and triggers of any other kind.
  const ids = { chatId: idIn({ id }), trigger, messageId } as Pick<Question, "chatId" | "trigger" | "messageId">;
  const sent = messages === undefined ? message : lastOf(messages);
  return { ...ids, message: (await checkMessage(sent, settings.message)) as UIMessage, body };
}

/** The id of a chat in a body. */
export function idIn({ id }: { id?: unknown }): string {
  if (typeof id !== "string") throw badRequest("id: expected a string.");
  refuseUnaddressable(id, "id");
  return id;
}

function refuseUnaddressable(id: unknown, name: string): void {
  if (isUnaddressable(id)) throw badRequest(`${name}: . and .. cannot be part of a URL; expected another id.`);
}

async function checkBody(others: object, schema: HandlerSettings["body"]): Promise<unknown> {
  if (schema) return validate(schema, others, "");
  const keys = ["id", "message", "messages", "trigger", "messageId"];
  refuseOtherKeys(others, keys, " To accept more, give createChatHandler a schema as the option body.");
  return undefined;
}

/** The SDK's own transport sends the whole conversation. The stored one counts, so that only the last message is new. */
function lastOf(messages: unknown): unknown {
  if (Array.isArray(messages) && messages.length > 0) return messages.at(-1);
  throw badRequest("messages: expected at least one message.");
}

/**
 * Checks a message of the user. Of any other message, the store takes only answers to tool calls that it knows to be
 * pending.
 */
async function checkMessage(message: unknown, schema: HandlerSettings["message"]) {
  if (typeof message !== "object" || message === null) throw badRequest("message: expected an object.");
  // Otherwise DELETE /:id/messages/.. would be DELETE /:id, because URLs are resolved.
  if ("id" in message) refuseUnaddressable(message.id, "message.id");
  if (!("role" in message) || message.role !== "user") return message;
  return schema ? validate(schema, message, "message") : toTextMessage(message);
}

/**
 * A message of text parts. Leaves out metadata, and other fields of the parts, which the SDK may have put there when the
 * page loaded the message, as before regenerating its answer.
 */
function toTextMessage(message: object): object {
  const { id, role, parts } = message as { id?: unknown; role?: unknown; parts?: unknown };
  const texts = Array.isArray(parts) ? parts.map(textIn) : [];
  if (texts.length === 0) throw badRequest("message.parts: expected at least one text part.");
  return { id, role, parts: texts.map((text) => ({ type: "text", text })) };
}

function textIn(part: unknown, index: number): string {
  const { type, text } = (part ?? {}) as { type?: unknown; text?: unknown };
  if (type === "text" && typeof text === "string" && text !== "") return text;
  throw badRequest(
    `message.parts.${index}: expected a text. To accept other parts, give createChatHandler a ` +
      "schema as the option message.",
  );
}
