/** An answer that a page is receiving, or has asked for. */
export interface ReceivedAnswer {
  /** The id of the last message that the page shows: the question's, then the answer's. */
  messageId: string | undefined;
  /** Stops listening. The turn goes on. */
  cut(): void;
  /** Resolves when the page receives nothing more. */
  ended: Promise<void>;
}

export interface ReceivedAnswers {
  add(chatId: string, answer: ReceivedAnswer): void;
  /** The newest last. */
  of(chatId: string): ReceivedAnswer[];
}

/** The answers that the pages of a client are receiving, by chat. */
export function createReceivedAnswers(): ReceivedAnswers {
  const answersOf = new Map<string, Set<ReceivedAnswer>>();
  return {
    add(chatId, answer) {
      const answers = answersOf.get(chatId) ?? new Set();
      answersOf.set(chatId, answers.add(answer));
      void answer.ended.then(() => {
        answers.delete(answer);
        if (answers.size === 0 && answersOf.get(chatId) === answers) answersOf.delete(chatId);
      });
    },
    of: (chatId) => [...(answersOf.get(chatId) ?? [])],
  };
}
