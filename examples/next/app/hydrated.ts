import { useSyncExternalStore } from "react";

/** False until React listens: what is typed and entered before would be lost. */
export function useHydrated() {
  return useSyncExternalStore(
    () => () => {},
    () => true,
    () => false,
  );
}
