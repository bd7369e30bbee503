/** How many messages a page shows at first, and how many more each time one scrolls up to the oldest of them. */
export const messagesPerPage = 30;

/** How many messages a request can have at most. */
export const mostMessages = 200;

/** How many messages the model is given of a chat, the question included. */
export const messagesForModel = 40;
