import { type ComponentProps, type KeyboardEvent, useEffect, useState } from "react";

interface MessageBoxProps extends ComponentProps<"textarea"> {
  label: string;
  onText: (text: string) => void;
  onSend: () => void;
}

/** For a new message, and for a question that is edited. Its children are the buttons. */
export function MessageBox({ label, onText, onSend, onKeyDown, children, ...props }: MessageBoxProps) {
  function sendOnEnter(event: KeyboardEvent<HTMLTextAreaElement>) {
    onKeyDown?.(event);
    // While an input method composes, Enter picks a character. A phone has no Shift+Enter for a line break.
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing || isTouched()) return;
    event.preventDefault();
    onSend();
  }

  return (
    <form className="message-box" action={onSend}>
      <textarea
        rows={1}
        dir="auto"
        aria-label={label}
        placeholder={label}
        enterKeyHint="enter"
        {...props}
        onChange={(event) => onText(event.target.value)}
        onKeyDown={sendOnEnter}
      />
      {children}
    </form>
  );
}

/** A keyboard on the screen would cover half of the page. */
export const isTouched = () => window.matchMedia("(pointer: coarse)").matches;

/** What the user has written and not sent, of each chat. Undefined until React listens. */
export function useDraft(chatId: string) {
  const key = `draft:${chatId}`;
  const [draft, setDraft] = useState<string>();
  useEffect(() => setDraft(sessionStorage.getItem(key) ?? ""), [key]);
  const save = (text: string) => {
    setDraft(text);
    sessionStorage.setItem(key, text);
  };
  return [draft, save] as const;
}
