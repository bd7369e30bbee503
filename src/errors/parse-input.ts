import type { z } from "zod/v4";
import { InvalidChatError, type InvalidChatIssue } from "./errors.ts";

/** Returns the checked copy of an input. The store uses only this copy, so that the caller may change the original. */
export function parseInput<T>(shape: z.ZodType<T>, input: unknown): T {
  let issues: InvalidChatIssue[];
  try {
    const { data, error } = shape.safeParse(input);
    if (!error) return data;
    // zod writes the messages only now, and reads the input for them.
    issues = error.issues.map(({ path, message }) => ({
      path: path.map((key) => (typeof key === "number" ? key : String(key))),
      message,
    }));
  } catch (cause) {
    throw new InvalidChatError([{ path: [], message: "reading it threw; expected plain data" }], { cause });
  }
  throw new InvalidChatError(issues);
}
