import { getToolName, isToolUIPart, type UIMessage } from "ai";
import { Copy } from "lucide-react";
import { Fragment, memo } from "react";
import Markdown, { type Components, type ExtraProps } from "react-markdown";
import remarkGfm from "remark-gfm";
import { copy, IconButton } from "./controls";

interface PartsProps {
  message: UIMessage;
  onApproval: (approval: { id: string; approved: boolean }) => void;
}

/** All kinds of parts of a message. */
export function Parts({ message: { id, role, parts }, onApproval }: PartsProps) {
  const sources = parts.filter((part) => part.type === "source-url" || part.type === "source-document");

  function contentOf(part: UIMessage["parts"][number]) {
    if (isToolUIPart(part)) {
      const { state, approval, input, output, errorText } = part;
      return (
        <>
          <details className="card" open={state === "approval-requested"}>
            <summary>
              {getToolName(part)} <span className="quiet">{toolStates[state]}</span>
            </summary>
            <pre>{JSON.stringify(input, null, 2)}</pre>
            {(output ?? errorText) !== undefined && <pre>{JSON.stringify(output ?? errorText, null, 2)}</pre>}
          </details>
          {state === "approval-requested" && (
            <div className="row">
              <button
                type="button"
                className="button primary"
                onClick={() => onApproval({ id: approval.id, approved: true })}
              >
                Allow
              </button>
              <button type="button" className="button" onClick={() => onApproval({ id: approval.id, approved: false })}>
                Deny
              </button>
            </div>
          )}
        </>
      );
    }
    switch (part.type) {
      case "text":
        return role === "user" ? <p dir="auto">{part.text}</p> : <Answer id={id}>{part.text}</Answer>;
      case "reasoning":
        return (
          part.text !== "" && (
            <details className="card">
              <summary>Reasoning</summary>
              <p dir="auto">{part.text}</p>
            </details>
          )
        );
      case "file":
        return part.mediaType.startsWith("image/") ? (
          <img src={part.url} alt={part.filename ?? "Image"} />
        ) : (
          <Link href={part.url}>{part.filename ?? part.mediaType}</Link>
        );
      case "source-url":
      case "source-document":
      case "step-start":
        return null;
      default:
        return part.type.startsWith("data-") ? null : <p className="quiet">{part.type}</p>;
    }
  }

  return (
    <div className="parts">
      {parts.map((part, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: Parts have no ids, and keep their places.
        <Fragment key={index}>{contentOf(part)}</Fragment>
      ))}
      {sources.length > 0 && (
        <ul className="sources" aria-label="Sources">
          {sources.map((source) => (
            <li key={source.sourceId} dir="auto">
              {source.type === "source-url" ? (
                <Link href={source.url}>{source.title ?? source.url}</Link>
              ) : (
                source.title
              )}
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

const toolStates = {
  "input-streaming": "is being prepared",
  "input-available": "is running",
  "approval-requested": "needs your approval",
  "approval-responded": "is running",
  "output-available": "done",
  "output-error": "failed",
  "output-denied": "denied",
};

function Link({ href, ...props }: React.ComponentProps<"a">) {
  // Footnotes stay on the page.
  const elsewhere = href?.startsWith("#") ? {} : { target: "_blank", rel: "noopener noreferrer" };
  return <a href={href} {...elsewhere} {...props} />;
}

const blocks = ["p", "ul", "ol", "blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "th", "td"] as const;

const components: Components = {
  // Arabic and Hebrew begin at the right, each block by itself.
  ...Object.fromEntries(blocks.map((Tag) => [Tag, ({ node, ...props }: ExtraProps) => <Tag dir="auto" {...props} />])),
  a: ({ node, ...props }) => <Link {...props} />,
  // Its address could carry words of the chat away.
  img: ({ alt }) => <em>{alt}</em>,
  pre: ({ node, ...props }) => (
    <div className="code">
      <pre {...props} />
      <IconButton
        label="Copy code"
        icon={Copy}
        onClick={({ currentTarget }) => copy(currentTarget.previousElementSibling?.textContent ?? "")}
      />
    </div>
  ),
  table: ({ node, ...props }) => (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: The arrow keys scroll it.
    <section className="table" aria-label="Table" tabIndex={0}>
      <table {...props} />
    </section>
  ),
};

/** No raw HTML, which is react-markdown's default. */
const Answer = memo(function Answer({ id, children }: { id: string; children: string }) {
  return (
    <div className="answer">
      <Markdown
        remarkPlugins={[remarkGfm]}
        // Otherwise the footnotes of two answers would have the same ids.
        remarkRehypeOptions={{ clobberPrefix: `${id}-` }}
        components={components}
      >
        {children}
      </Markdown>
    </div>
  );
});
