import { type ComponentProps, type ReactNode, type SubmitEvent, useId, useState } from "react";

export const icons = {
  chats: "M4 7h16M4 12h16M4 17h16",
  delete: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  edit: "M4 20h4L19 9l-4-4L4 16v4M13 7l4 4",
  fork: "M6 20V4M6 14h6a5 5 0 0 0 5-5V4M13 8l4-4 4 4",
  more: "M4.3 12a.7.7 0 1 0 1.4 0 .7.7 0 1 0-1.4 0M11.3 12a.7.7 0 1 0 1.4 0 .7.7 0 1 0-1.4 0M18.3 12a.7.7 0 1 0 1.4 0 .7.7 0 1 0-1.4 0",
  regenerate: "M20 11a8 8 0 1 0-2.3 6.7M20 5v6h-6",
  send: "M12 20V5M5 12l7-7 7 7",
  stop: "M7 7h10v10H7z",
};

export function IconButton({ label, icon, ...props }: { label: string; icon: string } & ComponentProps<"button">) {
  return (
    <button type="button" className="icon" aria-label={label} title={label} {...props}>
      <svg viewBox="0 0 24 24" aria-hidden="true">
        <path d={icon} />
      </svg>
    </button>
  );
}

interface ConfirmProps {
  question: string;
  /** What will happen. */
  children: ReactNode;
  /** Resolves to whether it worked. */
  onConfirm: () => Promise<boolean>;
  /** It worked, and the focus is back at the button, which may be about to go. */
  onDone: () => void;
  onClose: () => void;
}

/** Open as long as it is rendered. The browser keeps the focus in it, and closes it on Escape. */
export function Confirm({ question, children, onConfirm, onDone, onClose }: ConfirmProps) {
  const id = useId();
  const [state, setState] = useState<"asking" | "deleting" | "failed">("asking");

  async function onSubmit(event: SubmitEvent<HTMLFormElement>) {
    event.preventDefault();
    const dialog = event.currentTarget.closest("dialog");
    setState("deleting");
    if (!(await onConfirm())) return setState("failed");
    dialog?.close();
    onDone();
  }

  return (
    <dialog ref={showModal} aria-labelledby={`${id}-question`} aria-describedby={`${id}-text`} onClose={onClose}>
      <form onSubmit={onSubmit}>
        <h2 id={`${id}-question`}>{question}</h2>
        <p id={`${id}-text`}>{children}</p>
        {state === "failed" && <p role="alert">That did not work.</p>}
        <div className="buttons">
          <button type="button" onClick={(event) => event.currentTarget.closest("dialog")?.close()}>
            Cancel
          </button>
          <button type="submit" className="danger" disabled={state === "deleting"}>
            Delete
          </button>
        </div>
      </form>
    </dialog>
  );
}

function showModal(dialog: HTMLDialogElement | null) {
  if (dialog && !dialog.open) dialog.showModal();
}
