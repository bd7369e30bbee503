/** The versions that a client's own changes have made, beside turns. Its pages show them without loading the chat. */
export interface OwnChanges {
  add(chatId: string, version: number): void;
  /** The version that a page shows that showed this one, after the own changes that followed it. */
  after<Version extends number | undefined>(chatId: string, version: Version): Version;
}

export function createOwnChanges(): OwnChanges {
  const versionsOf = new Map<string, Set<number>>();
  return {
    add(chatId, version) {
      const versions = versionsOf.get(chatId) ?? new Set();
      versionsOf.set(chatId, versions.add(version));
    },
    after(chatId, version) {
      // Of undefined, which stays as it is, the next version is NaN.
      let shown = version as number;
      while (versionsOf.get(chatId)?.has(shown + 1)) shown += 1;
      return shown as typeof version;
    },
  };
}
