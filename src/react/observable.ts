/** A value that a component reads with `useSyncExternalStore`. */
export interface Observable<Value extends object> {
  get(): Value;
  /** Replaces some of its fields. */
  set(changes: Partial<Value>): void;
  subscribe(listener: () => void): () => void;
}

export function createObservable<Value extends object>(initial: Value): Observable<Value> {
  let value = initial;
  const listeners = new Set<() => void>();
  return {
    get: () => value,
    set(changes) {
      value = { ...value, ...changes };
      for (const listener of listeners) listener();
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}
