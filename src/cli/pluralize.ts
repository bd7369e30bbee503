/** The number with its noun, such as "1 chat" or "2 chats". */
export const pluralize = (count: number, noun: string) => `${count} ${noun}${count === 1 ? "" : "s"}`;
