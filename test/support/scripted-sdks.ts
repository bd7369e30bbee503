import type { LanguageModel } from "ai";
import { type Sdk as Version, sdks as versions } from "./sdks.ts";

type Model = Extract<LanguageModel, object>;
/** What the model says in one step: its text, or the call of a tool; an Error is thrown. */
export type Step = string | Error | { toolName: string; input: object } | ReadableStream<unknown>;

/** A version of the SDK, with a model that takes given steps. */
export interface Sdk extends Omit<Version, "finish"> {
  /** A model that takes these steps, one with each call. `prompts` gets what it is given. */
  model(steps: Step[], prompts?: unknown[]): Model;
  finish(reason: "stop" | "tool-calls"): object;
}

export const sdks: Sdk[] = versions.map((version) => {
  const finish: Sdk["finish"] = (reason) => ({ type: "finish", ...version.finish(reason) });
  const model: Sdk["model"] = (steps, prompts = []) =>
    version.mockModel(async ({ prompt, abortSignal }) => {
      prompts.push(prompt);
      const step = steps.shift() ?? new Error("The model has no step left.");
      if (step instanceof Error) throw step;
      if (!(step instanceof ReadableStream)) return { stream: ReadableStream.from(partsOf(step, finish)) };
      // A provider's stream breaks off when it is aborted.
      return { stream: step.pipeThrough(new TransformStream(), abortSignal && { signal: abortSignal }) };
    }) as Model;
  return { ...version, model, finish };
});

function partsOf(step: string | { toolName: string; input: object }, finish: Sdk["finish"]): object[] {
  const begin = { type: "stream-start", warnings: [] };
  if (typeof step !== "string") {
    const call = { type: "tool-call", toolCallId: "call", toolName: step.toolName, input: JSON.stringify(step.input) };
    return [begin, call, finish("tool-calls")];
  }
  const words = step.split(/(?<= )/).map((delta) => ({ type: "text-delta", id: "1", delta }));
  return [begin, { type: "text-start", id: "1" }, ...words, { type: "text-end", id: "1" }, finish("stop")];
}
