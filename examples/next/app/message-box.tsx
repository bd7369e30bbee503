import {
  type ComponentProps,
  type KeyboardEvent,
  type ReactNode,
  useEffect,
  useState,
  useSyncExternalStore,
} from "react";

interface MessageBoxProps extends Omit<ComponentProps<"textarea">, "value" | "onChange"> {
  label: string;
  value: string;
  onText: (text: string) => void;
  onSend: () => void;
  /** The buttons. */
  children: ReactNode;
}

/** A new message, or a question that is edited. */
export function MessageBox({ label, value, onText, onSend, onKeyDown, children, ...props }: MessageBoxProps) {
  const isHydrated = useHydrated();

  function sendOnEnter(event: KeyboardEvent<HTMLTextAreaElement>) {
    onKeyDown?.(event);
    // While an input method composes, Enter picks a character. A phone has no Shift+Enter for a line break.
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing || isTouched()) return;
    event.preventDefault();
    event.currentTarget.form?.requestSubmit();
  }

  return (
    <form
      className="message-box"
      onSubmit={(event) => {
        event.preventDefault();
        if (value.trim() !== "") onSend();
      }}
    >
      <textarea
        rows={1}
        dir="auto"
        aria-label={label}
        placeholder={label}
        value={value}
        readOnly={!isHydrated}
        enterKeyHint="enter"
        autoComplete="off"
        onChange={(event) => onText(event.target.value)}
        onKeyDown={sendOnEnter}
        {...props}
      />
      {children}
    </form>
  );
}

/** The keyboard of a phone would cover half of the page. */
export const isTouched = () => window.matchMedia("(pointer: coarse)").matches;

/** Of each chat, what the user has not sent yet. */
export function useDraft(chatId: string) {
  const [draft, setDraft] = useState("");
  useEffect(() => setDraft(sessionStorage.getItem(`draft:${chatId}`) ?? ""), [chatId]);
  return [
    draft,
    (text: string) => {
      setDraft(text);
      sessionStorage.setItem(`draft:${chatId}`, text);
    },
  ] as const;
}

/** False until React listens: what is typed before would be lost. */
export function useHydrated() {
  return useSyncExternalStore(
    () => () => {},
    () => true,
    () => false,
  );
}
