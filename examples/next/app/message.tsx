import type { UIMessage } from "ai";
import { isUnfinished, type MessageBranch, type UseStoredChatResult } from "drizzle-chat-store/react";
import { ChevronLeft, ChevronRight, Copy, GitFork, Pencil, RefreshCw, Trash2 } from "lucide-react";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "react";
import { addressOf, chats, openAddress } from "@/lib/chats";
import { Button, confirmDelete, copy, notify, showError } from "./controls";
import { MessageBox } from "./message-box";
import { Parts } from "./parts";

const textOf = ({ parts }: UIMessage) => parts.flatMap((part) => (part.type === "text" ? part.text : [])).join("\n\n");

interface MessageProps {
  chat: UseStoredChatResult;
  message: UIMessage;
  /** An answer is on its way. */
  isBusy: boolean;
  isEdited: boolean;
  onEdit: (messageId?: string) => void;
  onAsk: (text: string, messageId: string) => void;
}

export function Message({ chat, message, isBusy, isEdited, onEdit, onAsk }: MessageProps) {
  const { id, role } = message;
  const following = chat.messages.length - 1 - chat.messages.findIndex((other) => other.id === id);
  const isPartial = isUnfinished(message) && !(following === 0 && chat.isReconnecting);
  // biome-ignore lint/correctness/useExhaustiveDependencies: Another version of an answer is another message.
  const copyId = useMemo(() => crypto.randomUUID(), [id]);
  const versions = chat.branchOf(id);
  const regenerate = () => void chat.regenerate();

  async function fork() {
    const title = `${chat.chat?.title || "Untitled"} (copy)`;
    // A conflict: an earlier request has made the copy, and its response was lost. The update tells the list of it.
    const ifMade = (error: { code?: string }) =>
      error.code === "conflict" ? chats.update(copyId, { title }) : Promise.reject(error);
    if (!(await chats.fork(chat.id, { newId: copyId, throughMessageId: id, title }).catch(ifMade))) return;
    openAddress(addressOf(copyId));
    notify("This is a copy. The other chat stays as it is.");
  }

  async function deleteFromHere() {
    const others = versions.count > 1 ? "Its other versions come back with your next message." : "";
    if (!(await confirmDelete("Delete from here?", `This message and all that follow it will be gone. ${others}`)))
      return;
    await chats.deleteMessage(chat.id, id, { following: true });
    // The server may never have got the question that the error is about.
    chat.clearError();
    chat.setMessages((messages) => messages.slice(0, -1 - following));
    // Leads to the message box: the button is gone.
    onEdit();
  }

  const cut = () => deleteFromHere().catch(showError);
  const actions = () =>
    role === "user" ? (
      <div className="actions">
        <Button label="Edit" icon={Pencil} disabled={isBusy} onClick={() => onEdit(id)} />
        <Button label="Delete from here" icon={Trash2} disabled={isBusy} onClick={cut} />
      </div>
    ) : (
      <div className="actions">
        {isPartial && <span className="quiet">This answer is not complete.</span>}
        {isPartial && following === 0 && <Button label="Try again" onClick={regenerate} />}
        <Button label="Copy" icon={Copy} onClick={() => copy(textOf(message))} />
        <Button label="Continue in a new chat" icon={GitFork} onClick={() => fork().catch(showError)} />
        {following === 0 && <Button label="Regenerate" icon={RefreshCw} onClick={regenerate} />}
        {versions.count > 1 && <Versions {...versions} isBusy={isBusy} />}
      </div>
    );

  return (
    <article id={`message-${id}`} aria-label={role === "user" ? "You said" : "Assistant"} className={`message ${role}`}>
      {isEdited ? (
        <Editor text={textOf(message)} {...{ following, onEdit }} onAsk={(text) => onAsk(text, id)} />
      ) : (
        <Parts message={message} onApproval={chat.addToolApprovalResponse} />
      )}
      {!isEdited && !(isBusy && role === "assistant" && following === 0) && actions()}
      {!isEdited && role === "user" && versions.count > 1 && <Versions {...versions} isBusy={isBusy} />}
    </article>
  );
}

/** Leads to the other versions of a message: answers that were generated again, or questions that were edited. */
function Versions({ position, count, previous, next, isBusy }: MessageBranch & { isBusy: boolean }) {
  const group = useRef<HTMLFieldSetElement>(null);
  const clickedAt = useRef<number>(undefined);
  const top = () => group.current?.getBoundingClientRect().top ?? 0;

  // biome-ignore lint/correctness/useExhaustiveDependencies: When the version is there, the buttons are where they were.
  useLayoutEffect(() => {
    if (clickedAt.current !== undefined) group.current?.closest(".scroll")?.scrollBy(0, top() - clickedAt.current);
    clickedAt.current = undefined;
  }, [position]);

  function go(show: () => Promise<void>) {
    clickedAt.current = top();
    void show();
  }

  // Not "disabled": the button keeps the focus at the end.
  const step = (isEnd: boolean, show: () => Promise<void>) => ({
    "aria-disabled": isBusy || isEnd,
    onClick: () => isBusy || isEnd || go(show),
  });

  return (
    <fieldset ref={group} aria-label="Versions" className="versions">
      <Button label="Previous version" icon={ChevronLeft} {...step(position === 1, previous)} />
      <span>{`${position}/${count}`}</span>
      <Button label="Next version" icon={ChevronRight} {...step(position === count, next)} />
    </fieldset>
  );
}

interface EditorProps {
  text: string;
  /** How many messages follow the question. */
  following: number;
  onEdit: () => void;
  onAsk: (text: string) => void;
}

function Editor({ text, following, onEdit, onAsk }: EditorProps) {
  const [edited, setEdited] = useState(text);
  const box = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    box.current?.focus();
    box.current?.setSelectionRange(text.length, text.length);
  }, [text]);
  return (
    <MessageBox
      label="Edit message"
      ref={box}
      value={edited}
      onText={setEdited}
      onSend={() => edited.trim() && onAsk(edited.trim())}
      onKeyDown={({ key }) => key === "Escape" && onEdit()}
    >
      {following > 0 && <p className="quiet">Messages after it, which stay with the old version: {following}.</p>}
      <Button label="Cancel" onClick={() => onEdit()} />
      <Button label="Ask again" type="submit" className="primary" />
    </MessageBox>
  );
}
