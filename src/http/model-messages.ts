import type { ModelMessage, UIMessage } from "ai";
import * as ai from "ai";

type Tools = Readonly<Record<string, object>> | undefined;

/**
 * Converts messages for the model. A message that the installed SDK and the present tools do not accept any more, as
 * after a tool was removed, makes the SDK refuse the whole conversation. The model then gets the text of that message.
 */
export async function toModelMessages(messages: readonly UIMessage[], tools: Tools): Promise<ModelMessage[]> {
  try {
    return await convert(messages, tools);
  } catch {
    const readable = await Promise.all(
      messages.map((message) =>
        convert([message], tools).then(
          () => message,
          () => standIn(message),
        ),
      ),
    );
    return convert(readable, tools, false);
  }
}

async function convert(messages: readonly UIMessage[], tools: Tools, isChecked = true): Promise<ModelMessage[]> {
  // With ai 5 and 6, a broken part converts, and then streamText refuses the whole prompt.
  if (isChecked) await ai.validateUIMessages({ messages, tools: tools as never });
  // The types of its versions disagree about the options. With ai 5, it returns no promise.
  return ai.convertToModelMessages(messages as never, { tools, ignoreIncompleteToolCalls: true } as never);
}

/** The text alone: some providers refuse a tool call without its result, and reasoning without what followed it. */
function standIn({ id, role, parts }: UIMessage): UIMessage {
  const texts = [parts].flat().map((part) => (part?.type === "text" ? part.text : undefined));
  const text = [
    ...texts.filter((text) => typeof text === "string"),
    "(The rest of this message can no longer be read.)",
  ];
  return { id, role: role === "user" ? "user" : "assistant", parts: [{ type: "text", text: text.join("\n\n") }] };
}
