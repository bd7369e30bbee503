import type { ChatDatabase } from "../../src/index.ts";

type Session = Record<"prepareQuery" | "transaction" | "execute", (...parameters: unknown[]) => unknown>;

/**
 * The database as a process sees it that dies: of what it asks, nothing arrives any more. So its turns give no more signs of
 * life, and a test may set back the last one. The process may also come back, as one that was only slow.
 */
export function dyingProcess(db: ChatDatabase) {
  let isDead = false;
  const asked = new Set<unknown>();

  const ask = (question: () => unknown): unknown => {
    if (isDead) throw new Error("This process has died.");
    const answer = question();
    if (answer instanceof Promise) {
      const done = () => asked.delete(answer);
      asked.add(answer);
      answer.then(done, done);
    }
    return answer;
  };
  /** All that Drizzle asks of Postgres goes through its session, and through the queries that this has prepared. */
  const guard = <T extends object>(target: T): T => {
    const guarded: T = new Proxy(target, {
      get(_, name) {
        const value: unknown = Reflect.get(target, name);
        if (typeof value !== "function") return value;
        return (...parameters: unknown[]) => {
          const answer = ask(() => value.apply(target, parameters));
          // A query that returns itself, as Drizzle's `setToken` does, must not get out of its guard.
          if (answer === target) return guarded;
          return name === "prepareQuery" ? guard(answer as object) : answer;
        };
      },
    });
    return guarded;
  };

  const { session } = db as unknown as { session: Session };
  return {
    db: Object.create(db, { session: { value: guard(session) } }) as ChatDatabase,
    /** Resolves when nothing is under way any more, either. */
    async die() {
      isDead = true;
      await Promise.allSettled(asked);
    },
    comeBack() {
      isDead = false;
    },
  };
}
