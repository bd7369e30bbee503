import { isLong } from "./long-run.ts";
import { own } from "./pack.ts";

/** What changes with a registry is tried in the long run: the newest version of a major. Other runs take these. */
const pinned = {
  "ai@5": await own("ai5", "ai"),
  "ai@6": await own("ai6", "ai"),
  "@ai-sdk/react@2": "@ai-sdk/react@2.0.280",
  "@ai-sdk/react@3": "@ai-sdk/react@3.0.328",
  "@ai-sdk/react@4": "@ai-sdk/react@4.0.177",
  "@types/react@19": "@types/react@19.3.1",
};

export const newestOf = (major: keyof typeof pinned): string => (isLong ? major : pinned[major]);
