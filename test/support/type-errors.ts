import { join } from "node:path";
import ts from "typescript";
import { root } from "./pack.ts";

interface FoundError {
  file: string | undefined;
  /** Counted from 0. */
  line: number;
  message: string;
}

/** What `tsc` finds in these files of an application that uses this package, with a bundler. */
export function typeErrorsIn(files: string[], options: ts.CompilerOptions = {}): FoundError[] {
  const { config } = ts.readConfigFile(join(root, "tsconfig.json"), ts.sys.readFile);
  const own = ts.convertCompilerOptionsFromJson(config.compilerOptions, root).options;
  const program = ts.createProgram([join(root, "src/sql.d.ts"), ...files], {
    ...own,
    // Where a request's body is any.
    lib: ["lib.es2024.d.ts", "lib.dom.d.ts", "lib.dom.iterable.d.ts"],
    module: ts.ModuleKind.Preserve,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    jsx: ts.JsxEmit.ReactJSX,
    ...options,
    paths: {
      "drizzle-chat-store": [join(root, "src/index.ts")],
      "drizzle-chat-store/schema": [join(root, "src/schema.ts")],
      "drizzle-chat-store/handler": [join(root, "src/handler.ts")],
      "drizzle-chat-store/client": [join(root, "src/client.ts")],
      "drizzle-chat-store/react": [join(root, "src/react.ts")],
      ...options.paths,
    },
  });
  return ts.getPreEmitDiagnostics(program).map(({ file, start = 0, messageText }) => ({
    file: file?.fileName,
    line: file?.getLineAndCharacterOfPosition(start).line ?? 0,
    message: ts.flattenDiagnosticMessageText(messageText, "\n"),
  }));
}
