/**
 * The newest versions of chats that the pages of a client have shown. A page that is restored from a cache, as when the user
 * goes back, may have an older one.
 */
const versionsOf = new WeakMap<object, Map<string, number>>();

export function newestVersions(client: object) {
  const versions = versionsOf.get(client) ?? new Map<string, number>();
  versionsOf.set(client, versions);
  return {
    of: (chatId: string): number => versions.get(chatId) ?? 0,
    see(chatId: string, version = 0): void {
      versions.set(chatId, Math.max(version, versions.get(chatId) ?? 0));
    },
  };
}
