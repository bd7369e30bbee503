import type { z } from "zod/v4";
import { InvalidChatError, type InvalidChatIssue } from "./errors.ts";

/** Returns a checked copy of an input. The store uses only this copy, so the caller may change the original. */
export function parseInput<T>(shape: z.ZodType<T>, input: unknown): T {
  let issues: InvalidChatIssue[];
  try {
    const { data, error } = shape.safeParse(input);
    if (!error) return data;
    // zod reads the input again for these messages.
    issues = error.issues.map(({ path, message }) => ({
      path: path.map((key) => (typeof key === "number" ? key : String(key))),
      message,
    }));
  } catch (cause) {
    throw new InvalidChatError([{ path: [], message: "threw an error when it was read; expected plain data" }], {
      cause,
    });
  }
  throw new InvalidChatError(issues);
}
