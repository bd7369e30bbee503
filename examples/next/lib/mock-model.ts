import { simulateReadableStream } from "ai";
import { MockLanguageModelV4 } from "ai/test";

/** Needs no key and no network. Answers word by word for about two seconds, the same conversation always the same way. */
export const mockModel = new MockLanguageModelV4({
  doStream: async ({ prompt }) => {
    const questions = prompt.flatMap(({ role, content }) => (role === "user" ? [textOf(content)] : []));
    const words = answerTo(questions).split(/(?<=\s)(?=\S)/);
    const inputTokens = { total: undefined, noCache: undefined, cacheRead: undefined, cacheWrite: undefined };
    const outputTokens = { total: undefined, text: undefined, reasoning: undefined };
    return {
      stream: simulateReadableStream({
        chunkDelayInMs: 2_000 / words.length,
        chunks: [
          { type: "text-start", id: "1" },
          ...words.map((delta) => ({ type: "text-delta" as const, id: "1", delta })),
          { type: "text-end", id: "1" },
          { type: "finish", finishReason: { unified: "stop", raw: undefined }, usage: { inputTokens, outputTokens } },
        ],
      }),
    };
  },
});

function textOf(content: { type: string; text?: unknown }[]): string {
  return content.map((part) => (part.type === "text" ? part.text : "")).join(" ");
}

function answerTo(questions: string[]): string {
  const question = questions.at(-1) ?? "";
  const known = knownAnswers.find(({ about }) => about.test(question));
  if (known) return known.answer;
  const quoted = question.replace(/\s+/g, " ").trim().slice(0, 120);
  return `You asked:

> ${quoted}

I am a **mock model**, so I cannot know. This is question ${questions.length} of our chat, and what I do know is where it went:

1. Your question was stored *before* I said a word.
2. My answer is stored when it ends, even if you close the window now.
3. Reload the page, and both are still here.`;
}

const knownAnswers = [
  {
    about: /called PostgreSQL/i,
    answer: `Because it came after **Ingres**, a database built at Berkeley in the seventies. *Post-Ingres* became **Postgres** in 1986.

It spoke a language of its own, QUEL. In 1996 it had learned SQL, and the name grew to say so: **PostgreSQL**.

Most people still say *Postgres*, and nobody minds.`,
  },
  {
    about: /elephant/i,
    answer: `That is **Slonik**, which is Russian for *little elephant*.

Elephants were chosen for what they are known for:

- they never forget,
- they are strong and patient,
- and they look good on a T-shirt.`,
  },
  {
    about: /\bSQL\b|\bquery\b/i,
    answer: `They are ordinary rows in a Postgres schema of their own, so this is all it takes:

\`\`\`sql
select title, updated_at
from chat_store.chats
where user_id = 'ada'
order by updated_at desc
limit 10;
\`\`\`

The messages are beside them, in \`chat_store.messages\`.`,
  },
];
