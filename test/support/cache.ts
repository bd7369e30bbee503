import { Cache } from "drizzle-orm/cache/core";

/** A cache of Drizzle's that keeps every query of an application. */
export class CacheOfEverything extends Cache {
  readonly kept = new Map<string, unknown[]>();
  strategy = () => "all" as const;
  get = async (key: string) => this.kept.get(key);
  put = async (key: string, rows: unknown[]) => void this.kept.set(key, rows);
  onMutate = async () => {};
}
