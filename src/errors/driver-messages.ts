/**
 * Messages of errors that have no code. They are constants in the source of libraries, so they contain no chat content.
 * Do not add messages of Postgres: the server translates them, and they may quote values.
 *
 * The tests of `isRetryable` and the runtime suite provoke each retryable one, and so notice when a library rewords it.
 */
const messages: { text: string; retryable?: true }[] = [
  // V8
  { text: "Maximum call stack size exceeded" },
  { text: "Invalid string length" },
  { text: "Do not know how to serialize a BigInt" },
  // drizzle-orm's drivers over HTTP
  { text: "No transactions support in neon-http driver" },
  { text: "No transactions support in Xata Http driver" },
  { text: "Transactions are not supported by the Postgres Proxy driver" },
  // pg/lib/client.js, and Neon's driver, which is derived from it
  { text: "Connection terminated unexpectedly", retryable: true },
  // Drizzle rolls back on the broken connection, and this error hides why it broke.
  { text: "Client has encountered a connection error and is not queryable", retryable: true },
  { text: "timeout expired", retryable: true },
  { text: "Client was closed and is not queryable" },
  // From the option query_timeout. Not retryable: Drizzle returns a connection whose transaction is still open to the
  // pool, and the next save on that connection is acknowledged and never committed.
  { text: "Query read timeout" },
  // pg/lib/connection.js and pg/lib/crypto/sasl.js
  { text: "The server does not support SSL connections" },
  { text: "SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a string" },
  // pg-pool/index.js
  { text: "Connection terminated due to connection timeout", retryable: true },
  { text: "timeout exceeded when trying to connect", retryable: true },
  { text: "Cannot use a pool after calling end on the pool" },
  // The sockets of workerd
  { text: "proxy request failed, cannot connect to the specified address", retryable: true },
  // src/database/retry-on-conflict.ts
  { text: "Every attempt met a write conflict." },
];

/** Messages that may be shown, because they are constants. */
export const constantMessages: ReadonlySet<string> = new Set(messages.map(({ text }) => text));

export const retryableMessages: ReadonlySet<string> = new Set(
  messages.filter(({ retryable }) => retryable).map(({ text }) => text),
);
