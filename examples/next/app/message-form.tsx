import type { KeyboardEvent, ReactNode, RefObject, SubmitEvent } from "react";
import { useHydrated } from "./hydrated";

interface MessageFormProps {
  label: string;
  text?: string;
  box?: RefObject<HTMLTextAreaElement | null>;
  /** Undefined while nothing can be sent. What is being written stays. */
  onSend: ((text: string) => void) | undefined;
  onCancel?: () => void;
  /** The buttons. */
  children: ReactNode;
}

export function MessageForm({ label, text, box, onSend, onCancel, children }: MessageFormProps) {
  const hydrated = useHydrated();

  function send(event: SubmitEvent<HTMLFormElement>) {
    event.preventDefault();
    const written = String(new FormData(event.currentTarget).get("text")).trim();
    if (!written || !onSend) return;
    event.currentTarget.reset();
    onSend(written);
  }

  function onKeyDown(event: KeyboardEvent<HTMLTextAreaElement>) {
    if (event.key === "Escape") onCancel?.();
    // While an input method composes, Enter picks a character.
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    event.currentTarget.form?.requestSubmit();
  }

  return (
    <form className="message-form" onSubmit={send}>
      <textarea
        ref={box ?? focusAtEnd}
        name="text"
        rows={1}
        aria-label={label}
        placeholder={label}
        defaultValue={text}
        readOnly={!hydrated}
        onKeyDown={onKeyDown}
        autoComplete="off"
      />
      {children}
    </form>
  );
}

function focusAtEnd(box: HTMLTextAreaElement | null) {
  box?.focus();
  box?.setSelectionRange(box.value.length, box.value.length);
}
