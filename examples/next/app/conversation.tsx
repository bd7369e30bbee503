import { lastAssistantMessageIsCompleteWithApprovalResponses } from "ai";
import { type StoredChatPage, useStoredChat } from "drizzle-chat-store/react";
import { ArrowDown, ArrowUp, PanelLeft, Square, SquarePen } from "lucide-react";
import { useEffect, useEffectEvent, useRef, useState } from "react";
import { toast } from "sonner";
import { chats } from "@/lib/chats";
import { IconButton, LoadMore } from "./controls";
import { articleIdOf, isBusy, Message } from "./message";
import { isTouched, MessageBox, useDraft } from "./message-box";

const suggestions = [
  "Book a table for two",
  "Compare Postgres, MySQL and SQLite",
  "How do I query my chats in SQL?",
  "What is 17 times 24?",
];

interface ConversationProps {
  id: string;
  /** The last messages, if the server has rendered them; null if the chat is new. */
  page: StoredChatPage | null | undefined;
  /** The id of a message that the search has found. */
  wantedId: string | null;
  onOpen: (address: string) => void;
  onNewChat: () => void;
}

export function Conversation({ id, page, wantedId, onOpen, onNewChat }: ConversationProps) {
  const chat = useStoredChat(chats, {
    id,
    page,
    pageSize: wantedId ? 200 : 30,
    throttle: 50,
    sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithApprovalResponses,
  });
  const { messages, hasMore, isLoadingOlder, loadOlder, loadStatus, loadError } = chat;
  const busy = isBusy(chat);
  const isEmpty = messages.length === 0 && !hasMore && loadStatus !== "loading" && loadStatus !== "failed";
  const title = chat.chat?.title;
  const [wasThere, setWasThere] = useState(false);
  if (chat.chat && !wasThere) setWasThere(true);
  const isGone = loadStatus === "missing" && wasThere;

  const scroll = useRef<HTMLDivElement>(null);
  const box = useRef<HTMLTextAreaElement>(null);
  const [draft, setDraft] = useDraft(id);
  const [editedId, setEditedId] = useState<string>();
  const [isUp, setIsUp] = useState(false);

  const focusBox = () => {
    if (!isTouched()) box.current?.focus();
  };

  // Leads to the message that is wanted, and loads older ones until it is there.
  const lead = useEffectEvent(() => {
    const article = wantedId === null ? null : document.getElementById(articleIdOf(wantedId));
    if (!article && hasMore && !loadError) return void loadOlder();
    if (article) {
      article.scrollIntoView({ block: "center" });
      article.tabIndex = -1;
      article.focus({ preventScroll: true });
      article.animate([{ boxShadow: "0 0 0 0.4rem var(--found)" }, {}], { duration: 3_000, easing: "ease-in" });
    } else {
      toast.error("That message is not there any more.");
    }
    // A reload leads to the end, and the same match to the message once more.
    window.history.replaceState(null, "", `/?chatId=${encodeURIComponent(id)}`);
  });
  const isReady = loadStatus === "loaded" && !isLoadingOlder;
  // biome-ignore lint/correctness/useExhaustiveDependencies: The message may be among those that have come.
  useEffect(() => {
    if (wantedId && isReady) lead();
  }, [wantedId, isReady, messages.length]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: When the chat is opened.
  useEffect(() => {
    if (!wantedId) focusBox();
  }, []);

  const toEnd = () => scroll.current?.scrollTo({ top: 0 });

  function ask(text: string, messageId?: string) {
    void chat.sendMessage({ text, ...(messageId && { messageId }) });
    setEditedId(undefined);
    toEnd();
    focusBox();
  }

  function stop() {
    // If the server does not respond, the page stops listening.
    chat.stop().catch(() => {});
    focusBox();
  }

  function editLast() {
    setEditedId(messages.findLast(({ role }) => role === "user")?.id);
  }

  return (
    <main className={isEmpty ? "conversation empty" : "conversation"}>
      <title>{cut(title || "New chat")}</title>
      <header className="row">
        <IconButton label="Chats" icon={PanelLeft} popoverTarget="chats" />
        <span dir="auto">{title}</span>
        <IconButton label="New chat" icon={SquarePen} onClick={onNewChat} />
      </header>
      {/* Reversed: the browser itself stays at the end, and what comes in front of the first message moves nothing. */}
      <div ref={scroll} className="scroll" onScroll={(event) => setIsUp(event.currentTarget.scrollTop < -200)}>
        <div className="column">
          <h1 className={isEmpty ? undefined : "visually-hidden"} dir="auto">
            {title || "What would you like to know?"}
          </h1>
          {isEmpty && (
            <div className="welcome">
              <p>Every chat here survives a reload, a second tab, and a server that is killed in mid-answer.</p>
              {suggestions.map((text) => (
                <button key={text} type="button" className="button" onClick={() => ask(text)}>
                  {text}
                </button>
              ))}
            </div>
          )}
          {loadStatus === "loading" && (
            <p role="status" className="pending">
              Opening the chat…
            </p>
          )}
          {hasMore && (
            <LoadMore label="Show older messages" isLoading={isLoadingOlder} error={loadError} onLoad={loadOlder} />
          )}
          <div
            role="log"
            aria-label="Conversation"
            // Older messages are not news.
            aria-live={isLoadingOlder ? "off" : "polite"}
            aria-busy={busy}
            tabIndex={-1}
          >
            {messages.map((message) => (
              <Message
                key={message.id}
                chat={chat}
                message={message}
                isEdited={message.id === editedId && !busy}
                onEdit={(isEdited) => {
                  setEditedId(isEdited ? message.id : undefined);
                  if (!isEdited) focusBox();
                }}
                onAsk={ask}
                onOpen={onOpen}
              />
            ))}
          </div>
          <Problem chat={chat} isGone={isGone} onNewChat={onNewChat} />
        </div>
      </div>
      <div className="column">
        {isUp && (
          <IconButton className="icon-button jump" label="Jump to the latest" icon={ArrowDown} onClick={toEnd} />
        )}
        <MessageBox
          ref={box}
          label="Message"
          value={draft}
          onText={setDraft}
          onSend={() => {
            if (busy || isGone || !["loaded", "missing"].includes(loadStatus)) return;
            setDraft("");
            ask(draft.trim());
          }}
          onKeyDown={(event) => {
            if (event.key !== "ArrowUp" || draft !== "" || busy) return;
            event.preventDefault();
            editLast();
          }}
        >
          {busy ? (
            <IconButton label="Stop" icon={Square} onClick={stop} />
          ) : (
            <IconButton label="Send" icon={ArrowUp} type="submit" disabled={draft.trim() === "" || isGone} />
          )}
        </MessageBox>
      </div>
    </main>
  );
}

const cut = (title: string) => (title.length > 60 ? `${title.slice(0, 60).trim()}…` : title);

interface ProblemProps {
  chat: ReturnType<typeof useStoredChat>;
  /** The user has deleted it, here or elsewhere. */
  isGone: boolean;
  onNewChat: () => void;
}

/** What is wrong, in the words of the server, and a button only where it can help. */
function Problem({ chat, isGone, onNewChat }: ProblemProps) {
  const { error, loadStatus, loadError, messages } = chat;
  const isLost = error?.code === "network" || error?.code === "unavailable";
  if (isLost && messages.at(-1)?.role === "assistant")
    return <p role="status">Connection lost. Joining the answer again…</p>;
  const problem = isGone
    ? { text: "This chat was deleted.", action: "New chat", onClick: onNewChat }
    : loadStatus === "failed"
      ? { text: loadError?.message, action: "Try again", onClick: () => void chat.reload() }
      : error && {
          text: error.message,
          action: error.isRetryable !== false && "Try again",
          onClick: () => void chat.regenerate(),
        };
  if (!problem) return null;
  return (
    <p role="alert">
      {problem.text}{" "}
      {problem.action && (
        <button type="button" className="button" onClick={problem.onClick}>
          {problem.action}
        </button>
      )}
    </p>
  );
}
