import { type DynamicToolUIPart, getToolName, isToolUIPart, type ToolUIPart, type UIMessage } from "ai";
import { Copy } from "lucide-react";
import { type ComponentProps, Fragment, memo } from "react";
import Markdown, { type Components } from "react-markdown";
import remarkGfm from "remark-gfm";
import { Button, copy } from "./controls";

type OnApproval = (approval: { id: string; approved: boolean }) => void;

/** The content of a message: every kind of part, and the sources at the end. */
export function Parts({ message, onApproval }: { message: UIMessage; onApproval: OnApproval }) {
  const sources = message.parts.filter((part) => part.type === "source-url");
  return (
    <div className="parts">
      {message.parts.map((part, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: Parts have no ids, and keep their places.
        <Fragment key={index}>{contentOf(part, message, onApproval)}</Fragment>
      ))}
      {sources.length > 0 && (
        <ul className="sources" aria-label="Sources">
          {sources.map(({ sourceId, url, title }) => (
            <li key={sourceId}>
              <Link href={url}>{title ?? url}</Link>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

function contentOf(part: UIMessage["parts"][number], { id, role }: UIMessage, onApproval: OnApproval) {
  if (isToolUIPart(part)) return <ToolCall part={part} onApproval={onApproval} />;
  if (part.type === "source-url" || part.type === "step-start" || part.type.startsWith("data-")) return null;
  switch (part.type) {
    case "text":
      return role === "user" ? <p dir="auto">{part.text}</p> : <Answer id={id}>{part.text}</Answer>;
    case "reasoning":
      if (part.text === "") return null;
      return (
        <details className="card">
          <summary>Reasoning</summary>
          <p dir="auto">{part.text}</p>
        </details>
      );
    case "file":
      if (!part.mediaType.startsWith("image/")) return <Link href={part.url}>{part.filename ?? part.mediaType}</Link>;
      // biome-ignore lint/performance/noImgElement: Its size is not known.
      return <img src={part.url} alt={part.filename ?? "Image"} />;
    case "source-document":
      return <p>{part.title}</p>;
    default:
      return <p className="quiet">{part.type}</p>;
  }
}

function ToolCall({ part, onApproval }: { part: ToolUIPart | DynamicToolUIPart; onApproval: OnApproval }) {
  const { state, input, output, errorText, approval } = part;
  const respond = (approved: boolean) => () => approval && onApproval({ id: approval.id, approved });
  return (
    <details className="card" open={state === "approval-requested"}>
      <summary>
        {getToolName(part)} <span className="quiet">{state.replaceAll("-", " ")}</span>
      </summary>
      <pre>{JSON.stringify(input, null, 2)}</pre>
      {errorText ?? (output !== undefined && <pre>{JSON.stringify(output, null, 2)}</pre>)}
      {state === "approval-requested" && (
        <div className="row">
          <Button label="Allow" className="primary" onClick={respond(true)} />
          <Button label="Deny" onClick={respond(false)} />
        </div>
      )}
    </details>
  );
}

/** Leaves the chat open. Footnotes are links within the page. */
function Link({ href, ...props }: ComponentProps<"a">) {
  return <a href={href} {...(!href?.startsWith("#") && { target: "_blank", rel: "noopener noreferrer" })} {...props} />;
}

/** Each block in its own direction: Arabic and Hebrew begin at the right. */
const withDirections = () => (tree: { children: { properties?: { dir?: string } }[] }) => {
  for (const { properties } of tree.children) if (properties) properties.dir = "auto";
};

const components: Components = {
  // Without the id that the headings of all footnotes share.
  h2: ({ node, id, ...props }) => <h2 {...props} />,
  a: ({ node, "aria-describedby": _, ...props }) => <Link {...props} />,
  // Its address could carry words of the chat away.
  img: ({ alt }) => <em>{alt}</em>,
  pre: ({ node, ...props }) => (
    <div className="code">
      <pre {...props} />
      <Button label="Copy code" icon={Copy} onClick={(event) => copy(codeBeside(event.currentTarget))} />
    </div>
  ),
  table: ({ node, ...props }) => (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: The arrow keys scroll it.
    <section className="table" aria-label="Table" tabIndex={0}>
      <table {...props} />
    </section>
  ),
};

const codeBeside = (button: Element) => button.previousElementSibling?.textContent ?? "";

/** No raw HTML, which is react-markdown's default. The prefix keeps the footnotes of two answers apart. */
const Answer = memo(function Answer({ id, children }: { id: string; children: string }) {
  return (
    <div className="answer">
      <Markdown
        remarkPlugins={[remarkGfm]}
        rehypePlugins={[withDirections]}
        remarkRehypeOptions={{ clobberPrefix: id }}
        components={components}
      >
        {children}
      </Markdown>
    </div>
  );
});
