import { readdirSync, readFileSync } from "node:fs";

/** What a reader finds: README and the pages it leads to. */
export const pages = ["README.md", ...readdirSync("docs").map((file) => `docs/${file}`)];

export interface Block {
  page: string;
  /** Where its code begins. */
  line: number;
  language: string;
  text: string;
  /** What the comment right above it says to the tests. A reader does not see it. */
  note: string;
}

/** How many lines are not blank. */
export const countLines = (text: string): number => text.split("\n").filter((line) => line.trim() !== "").length;

/** The code blocks of a page, in its order. */
export function blocksOf(page: string): Block[] {
  const source = readFileSync(page, "utf8");
  return [...source.matchAll(/(?:^<!-- (.*) -->\n)?^```(\w*)\n([\s\S]*?)^```$/gm)].map((match) => {
    const [whole, note = "", language = "", text = ""] = match;
    const before = source.slice(0, match.index + whole.indexOf("```"));
    return { page, line: before.split("\n").length + 1, language, text, note };
  });
}
