import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import * as ai7 from "ai";
import { MockLanguageModelV4 } from "ai/test";
import * as ai5 from "ai5";
import { MockLanguageModelV2 } from "ai5/test";
import * as ai6 from "ai6";
import { MockLanguageModelV3 } from "ai6/test";
import * as handler from "../../src/handler.ts";
import * as index from "../../src/index.ts";
import { root } from "./pack.ts";

type Model = Extract<ai7.LanguageModel, object>;
/** What the model says in one step: its text, or the call of a tool; an Error is thrown. */
export type Step = string | Error | { toolName: string; input: object } | ReadableStream<unknown>;

export interface Sdk {
  name: string;
  /** As what it is installed. */
  installedAs: string;
  /** As far as the tests call them, all three are alike. */
  ai: typeof ai7;
  /** A model that takes these steps, one with each call. `prompts` gets what it is given. */
  model(steps: Step[], prompts?: unknown[]): Model;
  finish(reason: "stop" | "tool-calls"): object;
}

const flatUsage = { inputTokens: 1, outputTokens: 1, totalTokens: 2 };
const usage = { inputTokens: { total: 1 }, outputTokens: { total: 1 } };
const unified = (reason: string) => ({ type: "finish", finishReason: { unified: reason, raw: reason }, usage });

export const sdks: Sdk[] = [
  sdk("ai 5", "ai5", ai5, MockLanguageModelV2, (finishReason) => ({ type: "finish", finishReason, usage: flatUsage })),
  sdk("ai 6", "ai6", ai6, MockLanguageModelV3, unified),
  sdk("ai 7", "ai", ai7, MockLanguageModelV4, unified),
];

function sdk(
  name: string,
  installedAs: string,
  ai: unknown,
  Mock: new (options: never) => unknown,
  finish: Sdk["finish"],
): Sdk {
  const model: Sdk["model"] = (steps, prompts = []) => {
    const doStream = async ({ prompt, abortSignal }: { prompt: unknown; abortSignal?: AbortSignal }) => {
      prompts.push(prompt);
      const step = steps.shift() ?? new Error("The model has no step left.");
      if (step instanceof Error) throw step;
      if (!(step instanceof ReadableStream)) return { stream: ReadableStream.from(partsOf(step, finish)) };
      // A provider's stream breaks off when it is aborted.
      return { stream: step.pipeThrough(new TransformStream(), abortSignal && { signal: abortSignal }) };
    };
    return new Mock({ doStream } as never) as Model;
  };
  return { name, installedAs, ai: ai as typeof ai7, model, finish };
}

function partsOf(step: string | { toolName: string; input: object }, finish: Sdk["finish"]): object[] {
  const begin = { type: "stream-start", warnings: [] };
  if (typeof step !== "string") {
    const call = { type: "tool-call", toolCallId: "call", toolName: step.toolName, input: JSON.stringify(step.input) };
    return [begin, call, finish("tool-calls")];
  }
  const words = step.split(/(?<= )/).map((delta) => ({ type: "text-delta", id: "1", delta }));
  return [begin, { type: "text-start", id: "1" }, ...words, { type: "text-end", id: "1" }, finish("stop")];
}

type Package = Pick<typeof handler, "createChatHandler"> &
  Pick<typeof index, "createChatStore"> & {
    /** The SDK that the handler has imported. */
    usedSdk: unknown;
  };

/** This package as it is where this SDK is installed: the source with ai 7, else a copy of the built package. */
export async function packageWith({ installedAs }: Sdk, folder: string): Promise<Package> {
  if (installedAs === "ai") return { ...handler, ...index, usedSdk: ai7 };
  const copy = join(folder, installedAs);
  await mkdir(copy, { recursive: true });
  const built = join(root, "dist");
  for (const file of (await readdir(built)).filter((name) => name.endsWith(".js"))) {
    const code = await readFile(join(built, file), "utf8");
    const changed = code.replace(/\b(from |import\()"ai"/g, `$1"${installedAs}"`);
    const isHandler = file === "handler.js";
    await writeFile(join(copy, file), isHandler ? `${changed}\nexport { ai as usedSdk };\n` : changed);
  }
  const [{ createChatHandler, usedSdk }, { createChatStore }] = await Promise.all(
    ["handler.js", "index.js"].map((file) => import(pathToFileURL(join(copy, file)).href)),
  );
  return { createChatHandler, createChatStore, usedSdk };
}
