import { useEffect, useRef, useState } from "react";
import type { useOlderMessages } from "./older-messages";

export const articleIdOf = (messageId: string) => `message-${messageId}`;

interface FoundMessageOptions {
  wantedId: string | undefined;
  older: ReturnType<typeof useOlderMessages>;
  onFound: (() => void) | undefined;
}

/** Leads to the message that is wanted, and loads what comes before the shown ones until it is among them. */
export function useFoundMessage({ wantedId, older, onFound }: FoundMessageOptions) {
  const [markedId, setMarkedId] = useState<string>();
  const [missingId, setMissingId] = useState<string>();
  const asked = useRef<string>(undefined);

  // Whatever is rendered, it may have come.
  useEffect(() => {
    if (wantedId === undefined) {
      asked.current = undefined;
      return;
    }
    const article = document.getElementById(articleIdOf(wantedId));
    if (article) {
      article.scrollIntoView({ block: "center" });
      article.tabIndex = -1;
      article.focus({ preventScroll: true });
      setMarkedId(wantedId);
      setMissingId(undefined);
      onFound?.();
    } else if (older.state !== "loading" && asked.current !== wantedId) {
      asked.current = wantedId;
      void older.showOlder(wantedId).then((isThere) => {
        if (isThere) return;
        setMissingId(wantedId);
        onFound?.();
      });
    }
  });

  return { markedId, unmark: () => setMarkedId(undefined), isMissing: missingId !== undefined };
}
