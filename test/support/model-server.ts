import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** An answer that the test controls: its first words are sent, the rest waits for `finish`. */
export interface HeldAnswer {
  /** Resolves when the first words have been sent. */
  begun: Promise<void>;
  /** Resolves when the application has closed the connection to the model, for example because the user stopped the answer. */
  aborted: Promise<void>;
  /** Sends these words, too. */
  say(text: string): void;
  /** Sends the rest of the answer. */
  finish(): void;
}

/** What an application has asked the model. */
interface ModelRequest {
  authorization: string | undefined;
  model: string;
  /** The texts of the user's messages. */
  questions: string[];
}

/** Stands in for OpenAI. It answers at once, unless the test holds the answer. */
export interface ModelServer {
  /** The environment of an application that shall ask this server. */
  settings: { OPENAI_API_KEY: string; OPENAI_BASE_URL: string };
  /** Holds the next answer to a question with this text. `answer`: what it is, if not `answerTo`. */
  hold(question: string, answer?: string): HeldAnswer;
  /** Answers the next question with this text with status 401. */
  refuse(question: string): void;
  /** Answers the next question with this text with these words alone. */
  reply(question: string, answer: string): void;
  /** Answers the next question with this text by calling this tool. */
  call(question: string, tool: { name: string; input: object }): void;
  /** The requests so far. */
  requests: ModelRequest[];
  /** How many answers are held and have neither been finished nor aborted. */
  held(): number;
  /** Finishes all held answers, and forgets the questions to hold that nobody has asked. */
  release(): void;
  stop(): Promise<void>;
}

/** What the model server answers to the last of these questions. The application shows it as Markdown. */
export const answerTo = (questions: string[]) =>
  `This is answer ${questions.length} of our chat. ` +
  `You asked "${questions.at(-1)?.replace(/\s+/g, " ").trim().slice(0, 120)}", and a **model of the test** answers word by word.`;

/** What is sent of a held answer before the test lets it go on. */
export const firstWordsOf = (answer: string) =>
  answer
    .split(/(?<= )/)
    .slice(0, 6)
    .join("");

export async function startModelServer(): Promise<ModelServer> {
  const waiting: {
    question: string;
    take(response: ServerResponse, answer: string): void;
  }[] = [];
  const prepared: { question: string; respond(response: ServerResponse): void }[] = [];
  const requests: ModelRequest[] = [];
  const open = new Set<HeldAnswer>();

  const server = createServer(async (request, response) => {
    // An application that is killed breaks its connections off.
    response.on("error", () => {});
    const body = await bodyOf(request).catch(() => undefined);
    if (body === undefined) return;
    const { model, questions } = read(body);
    requests.push({ authorization: request.headers.authorization, model, questions });
    const isAsked = ({ question }: { question: string }) => question === questions.at(-1);
    const index = prepared.findIndex(isAsked);
    if (index >= 0) {
      prepared.splice(index, 1)[0]?.respond(response);
      return;
    }
    const answer = answerTo(questions);
    response.writeHead(200, eventStream);
    response.write(begin);
    const place = waiting.findIndex(isAsked);
    if (place >= 0) waiting.splice(place, 1)[0]?.take(response, answer);
    else response.end(wordsOf(answer).map(word).join("") + end);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;

  return {
    settings: { OPENAI_API_KEY: "key-for-the-test", OPENAI_BASE_URL: `http://127.0.0.1:${port}` },
    hold(question, own) {
      const { promise: begun, resolve: hasBegun } = withResolvers<ServerResponse>();
      const { promise: aborted, resolve: wasAborted } = withResolvers<void>();
      let rest = "";
      const held: HeldAnswer = {
        begun: begun.then(() => {}),
        aborted,
        say: (text) => void begun.then((response) => response.write(word(text))),
        finish: () =>
          void begun.then((response) => {
            open.delete(held);
            response.end(wordsOf(rest).map(word).join("") + end);
          }),
      };
      open.add(held);
      waiting.push({
        question,
        take(response, usual) {
          const answer = own ?? usual;
          const first = firstWordsOf(answer);
          rest = answer.slice(first.length);
          response.write(wordsOf(first).map(word).join(""));
          response.on("close", () => {
            if (open.delete(held)) wasAborted();
          });
          hasBegun(response);
        },
      });
      return held;
    },
    refuse(question) {
      const body = '{ "error": { "message": "Wrong key", "type": "auth" } }';
      prepared.push({ question, respond: (response) => response.writeHead(401).end(body) });
    },
    reply(question, answer) {
      const body = begin + wordsOf(answer).map(word).join("") + end;
      prepared.push({ question, respond: (response) => response.writeHead(200, eventStream).end(body) });
    },
    call(question, tool) {
      prepared.push({ question, respond: (response) => response.writeHead(200, eventStream).end(callOf(tool)) });
    },
    requests,
    held: () => open.size,
    release() {
      for (const held of open) held.finish();
      open.clear();
      waiting.length = 0;
      prepared.length = 0;
    },
    stop: async () => {
      server.close().closeAllConnections();
      await once(server, "close");
    },
  };
}

const eventStream = { "content-type": "text/event-stream" };
const wordsOf = (text: string) => text.match(/\S+\s*/g) ?? [];

const event = (event: object) => `data: ${JSON.stringify(event)}\n\n`;
const created = event({ type: "response.created", response: { id: "r", created_at: 1, model: "some-model" } });
const completed = event({ type: "response.completed", response: { usage: { input_tokens: 1, output_tokens: 1 } } });
const begin =
  created + event({ type: "response.output_item.added", output_index: 0, item: { type: "message", id: "m" } });
const word = (delta: string) =>
  event({ type: "response.output_text.delta", item_id: "m", output_index: 0, content_index: 0, delta });
const end =
  event({ type: "response.output_item.done", output_index: 0, item: { type: "message", id: "m" } }) + completed;

function callOf({ name, input }: { name: string; input: object }): string {
  const item = {
    type: "function_call",
    id: "f",
    call_id: `call-${randomUUID()}`,
    name,
    arguments: JSON.stringify(input),
  };
  return (
    created +
    event({ type: "response.output_item.added", output_index: 0, item: { ...item, arguments: "" } }) +
    event({ type: "response.output_item.done", output_index: 0, item: { ...item, status: "completed" } }) +
    completed
  );
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = "";
  for await (const chunk of request.setEncoding("utf8")) body += chunk;
  return body;
}

/** What matters here of a request to OpenAI's Responses API. */
function read(body: string): { model: string; questions: string[] } {
  const { model, input }: { model: string; input: { role?: string; content: { text?: string }[] }[] } =
    JSON.parse(body);
  const questions = input
    .filter(({ role }) => role === "user")
    .map(({ content }) => content.map(({ text = "" }) => text).join(""));
  return { model, questions };
}

// Promise.withResolvers needs Node 22.
function withResolvers<T>() {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
