import { Ellipsis, type LucideIcon } from "lucide-react";
import { type ComponentProps, type KeyboardEvent, type ReactNode, useId } from "react";
import { type ExternalToast, toast } from "sonner";

/** Tells the user for a moment. */
export function notify(text: string, options?: ExternalToast) {
  const toasts = document.getElementById("toasts");
  // Above the drawer: what is opened last is on top.
  toasts?.hidePopover();
  toasts?.showPopover();
  toast(text, options);
}

export const showError = (error: Error) => notify(error.message);

export const copy = (text: string) => navigator.clipboard.writeText(text).then(() => notify("Copied"), showError);

type ButtonProps = ComponentProps<"button"> & { label: string; icon?: LucideIcon };

/** With an icon, its label is for screen readers and for the mouse that rests on it. */
export function Button({ label, icon: Icon, className = "", ...props }: ButtonProps) {
  const hidden = Icon && { "aria-label": label, title: label };
  return (
    <button type="button" className={Icon ? `icon ${className}` : className} {...hidden} {...props}>
      {Icon ? <Icon size={18} aria-hidden="true" /> : label}
    </button>
  );
}

/** A button, and the buttons that it opens. The arrow keys lead through them. */
export function Menu({ label, children }: { label: string; children: ReactNode }) {
  const id = useId();

  function onKeyDown(event: KeyboardEvent<HTMLElement>) {
    const items = [...event.currentTarget.querySelectorAll<HTMLElement>(".menu:popover-open button")];
    if (items.length === 0 || !["ArrowDown", "ArrowUp"].includes(event.key)) return;
    event.preventDefault();
    const index = items.indexOf(document.activeElement as HTMLElement);
    items.at(event.key === "ArrowDown" ? (index + 1) % items.length : Math.max(index, 0) - 1)?.focus();
  }

  return (
    // biome-ignore lint/a11y: The keys and clicks are those of the buttons.
    <span onKeyDown={onKeyDown}>
      <Button label={label} icon={Ellipsis} popoverTarget={id} />
      {/* Closes first: the focus goes back to the button, before one of these leads it elsewhere. */}
      <div id={id} className="menu" popover="auto" onClickCapture={(event) => event.currentTarget.hidePopover()}>
        {children}
      </div>
    </span>
  );
}

interface LoadMoreProps {
  label: string;
  hasMore: boolean;
  isLoading: boolean;
  loadError: Error | undefined;
  load: () => Promise<void>;
}

/** Loads by itself when the reader scrolls near. With the keyboard it is a button. */
export function LoadMore({ label, hasMore, isLoading, loadError, load }: LoadMoreProps) {
  function observe(button: HTMLButtonElement) {
    const onChange: IntersectionObserverCallback = ([entry]) => {
      // A reader who has tabbed to it decides when.
      const isFocused = document.activeElement === button;
      if (entry?.isIntersecting && !isFocused && !isLoading && !loadError) void load();
    };
    const observer = new IntersectionObserver(onChange, { root: button.closest(".scroll"), rootMargin: "400px 0px" });
    observer.observe(button);
    return () => {
      observer.disconnect();
      // After the last page, the button goes, and the focus goes on to the messages.
      const log = button === document.activeElement && button.parentElement?.nextElementSibling;
      queueMicrotask(() => log instanceof HTMLElement && !button.isConnected && log.focus({ preventScroll: true }));
    };
  }

  if (!hasMore) return null;
  return (
    <div className="load-more">
      {loadError && <p role="alert">{loadError.message}</p>}
      <Button ref={observe} label={loadError ? "Try again" : label} onClick={load} />
    </div>
  );
}

/** What `confirmDelete` asks in. */
export const ConfirmDialog = () => (
  <dialog id="confirm" aria-labelledby="confirm-question" aria-describedby="confirm-text">
    <form method="dialog">
      <h2 id="confirm-question">Delete?</h2>
      <p id="confirm-text" />
      <Button label="Cancel" type="submit" />
      <Button label="Delete" type="submit" className="danger" value="delete" />
    </form>
  </dialog>
);

/** The browser keeps the focus in the dialog, closes it on Escape, and gives the focus back. */
export function confirmDelete(question: string, text: string): Promise<boolean> {
  const dialog = document.getElementById("confirm") as HTMLDialogElement;
  for (const [selector, content] of Object.entries({ h2: question, p: text })) {
    dialog.querySelector(selector)?.replaceChildren(content);
  }
  dialog.returnValue = "";
  // The dialog closes the drawer, and could not give the focus back to what is in it.
  const drawer = document.querySelector<HTMLElement>("#chats:popover-open");
  const focused = document.activeElement as HTMLElement | null;
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.onclose = () => {
      drawer?.showPopover();
      focused?.focus();
      resolve(dialog.returnValue === "delete");
    };
  });
}
