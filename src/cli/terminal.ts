import { createInterface } from "node:readline";
import { styleText } from "node:util";

export type Paint = (colour: "green" | "red" | "yellow", text: string) => string;

export const plain: Paint = (_, text) => text;

/** `styleText` looks at the terminal and NO_COLOR itself, but not before Node 22.13. */
export const paint: Paint = (colour, text) =>
  process.stdout.isTTY && !process.env.NO_COLOR ? styleText(colour, text) : text;

/** Asks on the terminal. Anything but yes is a no, also Ctrl+C and the end of the input. */
export async function confirm(question: string): Promise<boolean> {
  const lines = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await new Promise<string>((resolve) => {
    // After Ctrl+C and Ctrl+D the cursor is still behind the question.
    lines.once("close", () => resolve("\n"));
    lines.question(`${question} [y/N] `, resolve);
  });
  lines.close();
  if (answer === "\n") process.stdout.write(answer);
  return /^y(es)?$/i.test(answer.trim());
}

/** Names and ids in a terminal, which would obey their control characters. */
export const toAscii = (text: string) =>
  JSON.stringify(text).replaceAll(
    /[^ -~]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );

/** Such as `2026-11-30 07:25`, in UTC. */
export const toMinute = (time: Date | string) => new Date(time).toISOString().slice(0, 16).replace("T", " ");
