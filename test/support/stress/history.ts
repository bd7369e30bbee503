import { expect } from "vitest";
import type { ChatWithMessages, UpsertChatInput } from "../../../src/index.ts";
import { linesOf } from "./lines.ts";

/** What a save was to do besides its messages. */
type Making = Pick<UpsertChatInput, "title" | "expectedVersion"> & { changesOwner?: boolean };

/** Every version of every chat, as told by all who saw it and by the saves that were acknowledged with it. */
export function createHistory() {
  const versions = new Map<string, { chat: ChatWithMessages; told: string; makings: Making[] }>();

  /** Somebody saw this. Whoever looks at one version, or saved it, must tell the same of it. */
  function saw(chat: ChatWithMessages) {
    const content = linesOf(chat.messages).map(({ id, tag }) => `${id}=${tag}`);
    const told = `${chat.userId} "${chat.title}" ${chat.updatedAt.getTime()}: ${content.join(" ")}`;
    const known = versions.get(nameOf(chat)) ?? { chat, told, makings: [] };
    if (known.told !== told) expect.fail(`One version, two contents: ${nameOf(chat)} is\n${known.told}\n${told}`);
    versions.set(nameOf(chat), known);
    return known;
  }

  return {
    saw,

    /** A save was acknowledged with this version: it made it, or found its content there already. */
    saved: (chat: ChatWithMessages, making: Making) => saw(chat).makings.push(making),

    /** To be called when all saves are over: each version must have one that can have made it from the one before. */
    check() {
      for (const [name, { chat, makings }] of versions) {
        const { version, title, userId, updatedAt } = chat;
        const before = versions.get(nameOf({ ...chat, version: version - 1 }))?.chat;
        if (!before && version !== 1) expect.fail(`${name}: no acknowledged save made the version before`);
        const isMade = makings.some(
          (making) =>
            (making.expectedVersion ?? version - 1) === version - 1 &&
            (making.title ?? before?.title ?? "") === title &&
            (making.changesOwner ?? false) === (before !== undefined && before.userId !== userId),
        );
        if (!isMade) expect.fail(`${name}: no acknowledged save made it, only ${JSON.stringify(makings)}`);
        if (before && before.updatedAt > updatedAt) expect.fail(`${name}: updated before the version before it`);
      }
      return {
        versions: versions.size,
        generations: new Set([...versions.values()].map(({ chat }) => generationOf(chat))).size,
      };
    },
  };
}

/** One life of a chat, from its creation to its deletion. */
export const generationOf = ({ id, createdAt }: Pick<ChatWithMessages, "id" | "createdAt">) =>
  `chat ${id}, generation ${createdAt.getTime()}`;

export const nameOf = (chat: Pick<ChatWithMessages, "id" | "createdAt" | "version">) =>
  `${generationOf(chat)}, version ${chat.version}`;
