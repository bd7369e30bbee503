import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { AbstractChat, type ChatInit, type ChatState, DefaultChatTransport, type UIMessage } from "ai";

/** `closed` aborts when the response has ended, or the client has gone. The request's own signal may be collected before. */
export type Handler = (request: Request, closed: AbortSignal) => Promise<Response>;

/** A handler behind real HTTP on a loopback port. A client that goes away cancels the response, as in any framework. */
export async function serve(handler: Handler) {
  const answering = new Set<Promise<unknown>>();
  const server = createServer((incoming, outgoing) => {
    const gone = new AbortController();
    outgoing.on("close", () => gone.abort());
    const answer = async () => {
      const response = await handler(await toRequest(incoming, gone.signal), gone.signal);
      outgoing.writeHead(response.status, Object.fromEntries(response.headers));
      if (response.body) await pipeline(Readable.fromWeb(response.body as never), outgoing);
      else outgoing.end();
    };
    const answered = answer().catch((error: Error) => {
      if (!outgoing.headersSent) outgoing.writeHead(500).end(error.message);
    });
    answering.add(answered);
    void answered.finally(() => answering.delete(answered));
  });
  const listen = (port: number) => new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  const close = () => new Promise((resolve) => server.close(resolve).closeAllConnections());
  await listen(0);
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/`,
    /** Waits for all responses to have been sent, or given up. */
    idle: async () => {
      while (answering.size > 0) await Promise.all(answering);
    },
    /** As if the network broke: whoever listens, or is still talking, is cut off. */
    disconnect: () => server.closeAllConnections(),
    close,
    /** Listens again at the same address after `close`. */
    comeBack: () => listen(port),
  };
}

async function toRequest(incoming: IncomingMessage, signal: AbortSignal) {
  const body: Buffer[] = [];
  for await (const chunk of incoming) body.push(chunk);
  const headers = Object.entries(incoming.headers).map(([name, value]): [string, string] => [name, String(value)]);
  const method = incoming.method ?? "POST";
  return new Request(`http://${incoming.headers.host}${incoming.url}`, {
    method,
    headers,
    ...(body.length > 0 && { body: Buffer.concat(body) }),
    signal,
  });
}

/** The SDK's own client, as `useChat` runs it, sending only its last message. */
export class TestChat extends AbstractChat<UIMessage> {
  constructor({
    url,
    userId = "u",
    ...init
  }: Omit<ChatInit<UIMessage>, "transport"> & { url: string; userId?: string }) {
    const transport = new DefaultChatTransport<UIMessage>({
      api: url,
      headers: { "x-user-id": userId },
      prepareSendMessagesRequest: ({ id, messages, trigger, messageId }) => ({
        body: { id, message: messages.at(-1), trigger, messageId },
      }),
    });
    super({ onError: () => {}, ...init, transport, state: new PlainState(init.messages) });
  }
}

export class PlainState implements ChatState<UIMessage> {
  status: ChatState<UIMessage>["status"] = "ready";
  error: Error | undefined;
  messages: UIMessage[];
  constructor(messages: UIMessage[] = []) {
    this.messages = messages;
  }
  pushMessage = (message: UIMessage) => {
    this.messages = [...this.messages, message];
  };
  popMessage = () => {
    this.messages = this.messages.slice(0, -1);
  };
  replaceMessage = (index: number, message: UIMessage) => {
    this.messages = this.messages.with(index, message);
  };
  snapshot = <T>(value: T): T => structuredClone(value);
}
