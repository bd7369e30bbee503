import { simulateReadableStream } from "ai";
import { MockLanguageModelV4 } from "ai/test";
import answers from "./mock-answers.json";

type CallOptions = Parameters<MockLanguageModelV4["doStream"]>[0];
type Chunk = Awaited<ReturnType<MockLanguageModelV4["doStream"]>>["stream"] extends ReadableStream<infer C> ? C : never;

/** Needs no key and no network. Answers word by word for about two seconds, the same question always the same way. */
export const mockModel = new MockLanguageModelV4({
  doStream: async ({ prompt }) => {
    const question = questionIn(prompt);
    const known = answers.find(({ about }) => new RegExp(about, "iu").test(question));
    const { reasoning = "", text = [], source, booking } = known ?? {};
    const quoted = question.replace(/\s+/g, " ").trim().slice(0, 120);
    const thoughts = wordsOf(reasoning).map((delta): Chunk => ({ type: "reasoning-delta", id: "reasoning", delta }));
    const words = wordsOf(text.join("\n").replace("QUESTION", () => quoted)).map(
      (delta): Chunk => ({ type: "text-delta", id: "text", delta }),
    );
    const chunks: Chunk[] = [{ type: "text-start", id: "text" }, ...words, { type: "text-end", id: "text" }];
    if (reasoning) {
      chunks.unshift({ type: "reasoning-start", id: "reasoning" }, ...thoughts, {
        type: "reasoning-end",
        id: "reasoning",
      });
    }
    if (source) chunks.push({ type: "source", sourceType: "url", id: "source", ...source });
    const call = { toolCallId: crypto.randomUUID(), toolName: "bookTable", input: JSON.stringify(booking) };
    if (booking) chunks.push({ type: "tool-call", ...call });
    const inputTokens = { total: undefined, noCache: undefined, cacheRead: undefined, cacheWrite: undefined };
    const usage = { inputTokens, outputTokens: { total: undefined, text: undefined, reasoning: undefined } };
    chunks.push({ type: "finish", finishReason: { unified: booking ? "tool-calls" : "stop", raw: undefined }, usage });
    return { stream: simulateReadableStream({ chunks, chunkDelayInMs: Math.min(2_000 / words.length, 150) }) };
  },
});

const wordsOf = (text: string) => text.match(/\S+\s*/g) ?? [];

function questionIn(prompt: CallOptions["prompt"]): string {
  const last = prompt.at(-1);
  if (last?.role === "user") return last.content.map((part) => ("text" in part ? part.text : "")).join(" ");
  return JSON.stringify(last).includes("execution-denied") ? "tool was denied" : "tool was allowed";
}
