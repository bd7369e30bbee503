import type { ChatDatabase } from "../../src/index.ts";

/** The same database, whose connection can be made to break: `before` the next statement or transaction, or `after` it took effect. */
export function faultyDatabase(db: ChatDatabase) {
  let next: "before" | "after" | undefined;
  const faulty =
    <Method extends "execute" | "transaction">(method: Method) =>
    async (...parameters: never[]) => {
      const fault = next;
      next = undefined;
      if (fault === "before") throw new Error("Connection terminated unexpectedly");
      const result = await (db[method] as (...parameters: never[]) => Promise<unknown>).apply(db, parameters);
      if (fault === "after") throw new Error("Connection terminated unexpectedly");
      return result;
    };
  return {
    db: Object.create(db, {
      execute: { value: faulty("execute") },
      transaction: { value: faulty("transaction") },
    }) as ChatDatabase,
    /** Breaks the connection once while `work` is done. */
    async failing<T>(fault: "before" | "after" | undefined, work: () => Promise<T>): Promise<T> {
      next = fault;
      return work().finally(() => {
        next = undefined;
      });
    },
  };
}
