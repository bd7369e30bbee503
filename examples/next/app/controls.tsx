import { Ellipsis, type LucideIcon } from "lucide-react";
import {
  type ComponentProps,
  type KeyboardEvent,
  type ReactNode,
  useEffect,
  useEffectEvent,
  useId,
  useRef,
} from "react";
import { toast } from "sonner";

export const showError = (error: Error) => void toast.error(error.message);

export function IconButton({
  label,
  icon: Icon,
  ...props
}: { label: string; icon: LucideIcon } & ComponentProps<"button">) {
  return (
    <button type="button" className="icon-button" aria-label={label} title={label} {...props}>
      <Icon size={18} aria-hidden="true" />
    </button>
  );
}

/** Follows the address without the server. Opens in a new tab as any link does. */
export function ChatLink({
  href,
  onOpen,
  ...props
}: { href: string; onOpen: (href: string) => void } & ComponentProps<"a">) {
  return (
    <a
      href={href}
      onClick={(event) => {
        if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
        event.preventDefault();
        onOpen(href);
      }}
      {...props}
    />
  );
}

/** A button, and the buttons that it opens. The arrow keys lead through them. */
export function Menu({ label, children }: { label: string; children: ReactNode }) {
  const id = useId();
  const menu = useRef<HTMLDivElement>(null);

  function onKeyDown(event: KeyboardEvent) {
    if (!menu.current?.matches(":popover-open") || !["ArrowDown", "ArrowUp"].includes(event.key)) return;
    event.preventDefault();
    const items = [...menu.current.querySelectorAll("button")];
    const index = items.indexOf(document.activeElement as HTMLButtonElement);
    items.at(event.key === "ArrowDown" ? (index + 1) % items.length : Math.max(index, 0) - 1)?.focus();
  }

  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: The keys belong to the buttons in it.
    <span onKeyDown={onKeyDown}>
      <IconButton label={label} icon={Ellipsis} popoverTarget={id} />
      {/* biome-ignore lint/a11y: The clicks are those of the buttons in it. */}
      <div ref={menu} id={id} className="menu" popover="auto" onClick={() => menu.current?.hidePopover()}>
        {children}
      </div>
    </span>
  );
}

interface LoadMoreProps {
  label: string;
  isLoading: boolean;
  error: Error | undefined;
  onLoad: () => Promise<void>;
}

/** Loads by itself when the reader scrolls near. With the keyboard it is a button. */
export function LoadMore({ label, isLoading, error, onLoad }: LoadMoreProps) {
  const button = useRef<HTMLButtonElement>(null);
  const load = useEffectEvent(onLoad);
  const isAutomatic = !isLoading && !error;

  useEffect(() => {
    const element = button.current;
    if (!element || !isAutomatic) return;
    const observer = new IntersectionObserver(
      ([entry]) => {
        // A reader who has tabbed to it decides when.
        if (entry?.isIntersecting && document.activeElement !== element) void load();
      },
      { root: element.closest(".scroll"), rootMargin: "400px 0px" },
    );
    observer.observe(element);
    return () => observer.disconnect();
  }, [isAutomatic]);

  return (
    <div className="load-more">
      {error && <p role="alert">{error.message}</p>}
      <button ref={button} type="button" className="button" aria-disabled={isLoading} onClick={onLoad}>
        {error ? "Try again" : label}
      </button>
    </div>
  );
}

interface ConfirmProps {
  question: string;
  /** What will happen. */
  children: ReactNode;
  onConfirm: () => void;
  onClose: () => void;
}

/** Open as long as it is rendered. The browser keeps the focus in it, closes it on Escape, and gives the focus back. */
export function Confirm({ question, children, onConfirm, onClose }: ConfirmProps) {
  const id = useId();
  return (
    <dialog
      ref={(dialog) => {
        if (dialog && !dialog.open) dialog.showModal();
      }}
      className="dialog"
      aria-labelledby={`${id}-question`}
      aria-describedby={`${id}-text`}
      onClose={({ currentTarget }) => {
        onClose();
        if (currentTarget.returnValue === "delete") onConfirm();
      }}
    >
      <form method="dialog">
        <h2 id={`${id}-question`}>{question}</h2>
        <p id={`${id}-text`}>{children}</p>
        <button type="submit" className="button">
          Cancel
        </button>
        <button type="submit" className="button danger" value="delete">
          Delete
        </button>
      </form>
    </dialog>
  );
}

export const copy = (text: string) => navigator.clipboard.writeText(text).then(() => void toast("Copied"), showError);
