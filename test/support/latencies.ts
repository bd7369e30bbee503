/** How long everything took that clients asked for, as they saw it. */
export function createLatencies() {
  const byKind = new Map<string, number[]>();
  const byClient = new Map<string, number>();
  const add = (kind: string, milliseconds: number) => {
    const times = byKind.get(kind) ?? [];
    byKind.set(kind, times);
    times.push(milliseconds);
  };

  return {
    add,
    kinds: () => byKind.size,

    async measure<T>(kind: string, client: string, work: () => Promise<T>): Promise<T> {
      const began = performance.now();
      const result = await work();
      add(kind, performance.now() - began);
      byClient.set(client, (byClient.get(client) ?? 0) + 1);
      return result;
    },

    /** Of each kind, and of everything together, in milliseconds. */
    summary() {
      return [["everything", [...byKind.values()].flat()] as const, ...byKind].map(([kind, times]) => {
        const sorted = times.toSorted((a, b) => a - b);
        const percentile = (share: number) => sorted[Math.ceil(sorted.length * share) - 1] ?? Number.NaN;
        return { kind, count: times.length, p50: percentile(0.5), p99: percentile(0.99), max: percentile(1) };
      });
    },

    /** How much the client that got least was given, as a share of what a client got on average. */
    leastShare() {
      const counts = [...byClient.values()];
      return (Math.min(...counts) * counts.length) / counts.reduce((total, count) => total + count, 0);
    },
  };
}
