import type { UIMessage } from "ai";
import { isUnfinished, type UseStoredChatResult } from "drizzle-chat-store/react";
import { Copy, GitFork, Pencil, RefreshCw, Trash2 } from "lucide-react";
import { useEffect, useRef, useState } from "react";
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
  const [copyId] = useState(() => crypto.randomUUID());
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
    if (!(await confirmDelete("Delete from here?", "This message and all that follow it will be gone."))) return;
    await chats.deleteMessage(chat.id, id, { following: true });
    // The server may never have got the question that the error is about.
    chat.clearError();
    chat.setMessages((messages) => messages.slice(0, -1 - following));
    // Leads to the message box: the button is gone.
    onEdit();
  }

  const actions = () =>
    role === "user" ? (
      <div className="actions">
        <Button label="Edit" icon={Pencil} disabled={isBusy} onClick={() => onEdit(id)} />
        <Button
          label="Delete from here"
          icon={Trash2}
          disabled={isBusy}
          onClick={() => deleteFromHere().catch(showError)}
        />
      </div>
    ) : (
      <div className="actions">
        {isPartial && <span className="quiet">This answer is not complete.</span>}
        {isPartial && following === 0 && <Button label="Try again" onClick={regenerate} />}
        <Button label="Copy" icon={Copy} onClick={() => copy(textOf(message))} />
        <Button label="Continue in a new chat" icon={GitFork} onClick={() => fork().catch(showError)} />
        {following === 0 && <Button label="Regenerate" icon={RefreshCw} onClick={regenerate} />}
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
    </article>
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
      {following > 0 && <p className="quiet">Messages after it that will be gone: {following}.</p>}
      <Button label="Cancel" onClick={() => onEdit()} />
      <Button label="Ask again" type="submit" className="primary" />
    </MessageBox>
  );
}
