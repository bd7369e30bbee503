import { openai } from "@ai-sdk/openai";
import { type LanguageModel, simulateReadableStream } from "ai";
import { MockLanguageModelV4 } from "ai/test";

/** OpenAI's when its key is set, else a mock. The model of any other provider goes here in the same way. */
export function chatModel(): LanguageModel {
  return process.env.OPENAI_API_KEY ? openai(process.env.OPENAI_MODEL || "gpt-5.4-mini") : mockModel();
}

/** Answers word by word within about two seconds. The same conversation gets the same answer. */
function mockModel() {
  return new MockLanguageModelV4({
    doStream: async ({ prompt }) => {
      const questions = prompt.flatMap((message) =>
        message.role === "user"
          ? [message.content.map((part) => (part.type === "text" ? part.text : "")).join("")]
          : [],
      );
      const words = answerTo(questions).split(/(?<= )/);
      return {
        stream: simulateReadableStream({
          chunkDelayInMs: 2_000 / words.length,
          chunks: [
            { type: "text-start", id: "1" },
            ...words.map((delta) => ({ type: "text-delta" as const, id: "1", delta })),
            { type: "text-end", id: "1" },
            { type: "finish", finishReason: { unified: "stop", raw: undefined }, usage: unknownUsage },
          ],
        }),
      };
    },
  });
}

function answerTo(questions: string[]): string {
  const [before, last] = questions.slice(-2).map((question) => `"${question.match(/^.{0,60}/su)?.[0]}"`);
  const history = last
    ? `You asked ${last}, and before that ${before}. So I was given the whole chat: ${questions.length} questions by now.`
    : `You asked ${before}, the first question of this chat.`;
  return `${history} I am a mock model, and that is all I know. Set OPENAI_API_KEY to talk to a real one.`;
}

const unknownUsage = {
  inputTokens: { total: undefined, noCache: undefined, cacheRead: undefined, cacheWrite: undefined },
  outputTokens: { total: undefined, text: undefined, reasoning: undefined },
};
