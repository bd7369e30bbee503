import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type * as ai from "ai";
import * as ai7 from "ai";
import * as ai7Test from "ai/test";
import * as ai5 from "ai5";
import * as ai5Test from "ai5/test";
import * as ai6 from "ai6";
import * as ai6Test from "ai6/test";
import { build } from "esbuild";
import { root } from "./pack.ts";

/** What a mock model does when it is asked. */
export type DoStream = (options: {
  prompt: unknown;
  abortSignal?: AbortSignal | undefined;
}) => Promise<{ stream: ReadableStream }>;

/** A version of the SDK, typed as the newest one: for the little that tests use, they do not differ. */
export interface Sdk {
  name: "ai 5" | "ai 6" | "ai 7";
  installedAs: "ai5" | "ai6" | "ai";
  ai: typeof ai;
  mockModel: (doStream: DoStream) => ai.LanguageModel;
  /** The rest of a model's last chunk. */
  finish: (reason: string) => object;
}

const usage = { inputTokens: { total: 1 }, outputTokens: { total: 1 } };

export const sdks: Sdk[] = [
  {
    name: "ai 5",
    installedAs: "ai5",
    ai: ai5 as unknown as typeof ai,
    mockModel: (doStream) => new ai5Test.MockLanguageModelV2({ doStream } as never) as never,
    finish: (finishReason) => ({ finishReason, usage: { inputTokens: 1, outputTokens: 1, totalTokens: 2 } }),
  },
  {
    name: "ai 6",
    installedAs: "ai6",
    ai: ai6 as unknown as typeof ai,
    mockModel: (doStream) => new ai6Test.MockLanguageModelV3({ doStream } as never) as never,
    finish: (unified) => ({ finishReason: { unified }, usage }),
  },
  {
    name: "ai 7",
    installedAs: "ai",
    ai: ai7,
    mockModel: (doStream) => new ai7Test.MockLanguageModelV4({ doStream } as never),
    finish: (unified) => ({ finishReason: { unified, raw: unified }, usage }),
  },
];

type Package = typeof import("../../src/index.ts") &
  typeof import("../../src/handler.ts") &
  typeof import("../../src/client.ts") & {
    /** The SDK that it has imported. */
    importedSdk: typeof ai;
  };

/** This package, as it runs in an application that has installed that version of the SDK. */
export async function loadWith({ installedAs }: Pick<Sdk, "installedAs">, folder: string): Promise<Package> {
  const doors = ["index", "handler", "client"].map((name) => `export * from "./${name}.ts";`);
  const outfile = join(folder, `with-${installedAs}.mjs`);
  await build({
    stdin: {
      contents: [...doors, 'export * as importedSdk from "ai";'].join("\n"),
      resolveDir: join(root, "src"),
      loader: "ts",
    },
    outfile,
    bundle: true,
    format: "esm",
    target: "es2022",
    platform: "node",
    packages: "external",
    alias: { ai: installedAs },
    loader: { ".sql": "text" },
    sourcemap: "inline",
  });
  return import(pathToFileURL(outfile).href);
}
