import type { ChatSearch } from "drizzle-chat-store/client";
import Link from "next/link";
import { type KeyboardEvent, type SubmitEvent, useEffect, useLayoutEffect, useRef, useState } from "react";
import { chats } from "@/lib/chats";
import { useHydrated } from "./hydrated";

/** Milliseconds without a key before a search begins. */
const pause = 250;

type Match = ChatSearch["matches"][number];

interface SearchProps {
  query: string;
  onQuery: (query: string) => void;
  onOpen: () => void;
}

/** In all chats of the user. What was found stays, so that one can look at it one by one. */
export function Search({ query, onQuery, onOpen }: SearchProps) {
  const wanted = query.trim();
  const { found, searchOn } = useMatches(wanted);
  const { matches, cursor } = found;
  const isDone = found.query === wanted;
  const input = useRef<HTMLInputElement>(null);
  const list = useRef<HTMLUListElement>(null);
  const hydrated = useHydrated();

  // Where to go on reading after a click on "Search on", which may be gone then.
  const next = useRef<number>(undefined);
  useLayoutEffect(() => {
    if (next.current === undefined || matches.length < next.current) return;
    const link = list.current?.children[next.current]?.querySelector("a");
    next.current = undefined;
    (link ?? (cursor === null ? input.current : null))?.focus();
  }, [matches, cursor]);

  function clear(event: KeyboardEvent) {
    // With nothing to clear, it closes the list on a phone.
    if (event.key !== "Escape" || event.nativeEvent.isComposing || query === "") return;
    event.preventDefault();
    onQuery("");
    input.current?.focus();
  }

  function onSubmit(event: SubmitEvent<HTMLFormElement>) {
    event.preventDefault();
    list.current?.querySelector("a")?.focus();
  }

  return (
    <search onKeyDown={clear}>
      <form onSubmit={onSubmit}>
        <input
          ref={input}
          type="search"
          aria-label="Search chats"
          placeholder="Search"
          value={query}
          readOnly={!hydrated}
          maxLength={255}
          autoComplete="off"
          onChange={(event) => {
            next.current = undefined;
            onQuery(event.target.value);
          }}
        />
      </form>
      <p role="status">{wanted !== "" && isDone && !found.hasFailed && sayHowMany(found)}</p>
      {wanted !== "" && (
        <>
          {isDone && found.hasFailed && <p role="alert">That did not work.</p>}
          {matches.length > 0 && (
            <ul ref={list} aria-label="Found">
              {matches.map((match) => (
                <MatchItem key={`${match.chat.id} ${match.messageId}`} match={match} onOpen={onOpen} />
              ))}
            </ul>
          )}
          {isDone && cursor !== null && (
            <button
              type="button"
              className="search-on"
              onClick={() => {
                next.current = matches.length;
                void searchOn();
              }}
            >
              Search on
            </button>
          )}
        </>
      )}
    </search>
  );
}

function MatchItem({ match: { chat, messageId, excerpt }, onOpen }: { match: Match; onOpen: () => void }) {
  const address = new URLSearchParams({ chatId: chat.id, ...(messageId === null ? {} : { message: messageId }) });
  const text = (
    <>
      {excerpt.before}
      <mark>{excerpt.match}</mark>
      {excerpt.after}
    </>
  );
  return (
    <li>
      <Link href={`/?${address}`} prefetch={false} onClick={onOpen}>
        <strong>{messageId === null ? text : chat.title || "Untitled"}</strong>
        {messageId !== null && <span>{text}</span>}
      </Link>
    </li>
  );
}

interface Found extends ChatSearch {
  query: string;
  hasFailed: boolean;
}

function useMatches(query: string) {
  const [found, setFound] = useState<Found>({ query: "", matches: [], cursor: null, hasFailed: false });

  useEffect(() => {
    const controller = new AbortController();
    const timer = setTimeout(
      async () => {
        const matches = query === "" ? { matches: [], cursor: null } : await find(query, { signal: controller.signal });
        if (controller.signal.aborted) return;
        setFound({ query, ...(matches ?? { matches: [], cursor: null }), hasFailed: !matches });
      },
      query === "" ? 0 : pause,
    );
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [query]);

  /** From where the last search has stopped. */
  async function searchOn() {
    const more = await find(found.query, { cursor: found.cursor ?? undefined });
    setFound((now) => {
      // Meanwhile it was asked for something else, or twice.
      if (now.query !== found.query || now.cursor !== found.cursor) return now;
      return more ? { ...now, ...more, matches: [...now.matches, ...more.matches] } : { ...now, hasFailed: true };
    });
  }

  return { found, searchOn };
}

/** Undefined if it failed. */
const find = (...search: Parameters<typeof chats.search>) => chats.search(...search).catch(() => undefined);

function sayHowMany({ matches, cursor }: Found): string {
  const soFar = cursor === null ? "" : " so far";
  return matches.length === 0 ? `Nothing found${soFar}.` : `${matches.length} found${soFar}.`;
}
