import type { UIMessage } from "ai";
import { ChatRequestError } from "drizzle-chat-store/client";
import { useCallback, useEffect, useEffectEvent, useLayoutEffect, useRef, useState } from "react";
import { chats } from "@/lib/chats";

/** The way to one message: enough for a chat of five thousand. */
const [messagesPerRequest, mostRequests] = [200, 25];

interface MessagePage {
  messages: UIMessage[];
  /** Whether there are messages before these. */
  hasMore: boolean;
}

interface OlderMessagesOptions extends MessagePage {
  chatId: string;
  setMessages: (change: (messages: UIMessage[]) => UIMessage[]) => void;
  /** An answer is on its way. */
  busy: boolean;
}

/** What comes before the messages that are shown. */
export function useOlderMessages({ chatId, messages, setMessages, hasMore, busy }: OlderMessagesOptions) {
  const [hasOlder, setHasOlder] = useState(hasMore);
  const [state, setState] = useState<"ready" | "loading" | "failed">("ready");
  const [count, setCount] = useState(0);
  const isLoading = useRef(false);
  // As it is when messages have come, and not when they were asked for.
  const isBusy = useRef(busy);
  useEffect(() => {
    isBusy.current = busy;
  }, [busy]);

  /** In front of what is shown, without moving it: one page, or all up to and including a message. Resolves to whether that is shown then. */
  async function showOlder(throughId?: string): Promise<boolean> {
    if (isLoading.current || !hasOlder) return false;
    isLoading.current = true;
    setState("loading");
    const first = messages[0]?.id;
    const found = await load(chatId, first, throughId);
    // While an answer is on its way, what is shown stays.
    const isGone = found === "gone" && !isBusy.current;
    const page = isGone ? await load(chatId) : found;
    isLoading.current = false;
    if (typeof page !== "object") {
      setState("failed");
      return false;
    }
    const isThere = page.messages.some(({ id }) => id === throughId);
    if (isGone) {
      setMessages(() => page.messages);
      setHasOlder(page.hasMore);
    } else if (throughId === undefined || isThere) {
      setMessages((messages) => {
        // Others are shown by now.
        if (messages[0]?.id !== first) return messages;
        setHasOlder(page.hasMore);
        setCount((count) => count + page.messages.length);
        return [...page.messages, ...messages];
      });
    }
    // Only when they are there may the conversation be read out again as it goes on.
    requestAnimationFrame(() => setState("ready"));
    return isThere;
  }

  /** The last messages as the server has them now, after those that are shown before them, if they are among these. */
  const showLast = useCallback(
    (last: MessagePage) =>
      setMessages((messages) => {
        const start = messages.findIndex(({ id }) => id === last.messages[0]?.id);
        if (start >= 0) return [...messages.slice(0, start), ...last.messages];
        setHasOlder(last.hasMore);
        return last.messages;
      }),
    [setMessages],
  );

  return { hasOlder, state, count, showOlder, showLast };
}

/** Undefined if it failed. */
async function load(chatId: string, before?: string, throughId?: string): Promise<MessagePage | "gone" | undefined> {
  const limit = throughId === undefined ? undefined : messagesPerRequest;
  let page: MessagePage = { messages: [], hasMore: true };
  try {
    for (let requests = 0; page.hasMore && requests < mostRequests; requests++) {
      const older = await chats.get(chatId, { limit, before: page.messages[0]?.id ?? before });
      if (!older) return undefined;
      page = { messages: [...older.messages, ...page.messages], hasMore: older.hasMore };
      if (throughId === undefined || older.messages.some(({ id }) => id === throughId)) break;
    }
    return page;
  } catch (error) {
    return error instanceof ChatRequestError && error.code === "conflict" ? "gone" : undefined;
  }
}

interface OlderMessagesProps {
  state: "ready" | "loading" | "failed";
  onShow: () => void;
  /** There are none any more, and this had the focus. */
  onGone: () => void;
}

/** Loads them when one scrolls up to it, and for those who do not scroll it is a button. */
export function OlderMessages({ state, onShow, onGone }: OlderMessagesProps) {
  const button = useRef<HTMLButtonElement>(null);
  const show = useEffectEvent(onShow);
  const giveFocus = useEffectEvent(onGone);

  useEffect(() => {
    const element = button.current;
    // After a failure only the button tries again.
    if (!element || state !== "ready") return;
    const observer = new IntersectionObserver(
      ([entry]) => {
        // Whoever has tabbed to it decides themselves.
        if (entry?.isIntersecting && document.activeElement !== element) show();
      },
      { root: element.closest(".scroll"), rootMargin: "400px 0px 0px" },
    );
    observer.observe(element);
    return () => observer.disconnect();
  }, [state]);

  useLayoutEffect(() => {
    const element = button.current;
    return () => {
      if (element && document.activeElement === element) giveFocus();
    };
  }, []);

  return (
    <div className="older">
      {state === "failed" && <p role="alert">The older messages could not be loaded.</p>}
      <button ref={button} type="button" onClick={onShow}>
        {state === "failed" ? "Try again" : "Show older messages"}
      </button>
    </div>
  );
}
