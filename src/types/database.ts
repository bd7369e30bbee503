/**
 * Any Drizzle Postgres database, with any driver and any schema of your own, or a transaction of one.
 *
 * The type lists the methods that the store calls. Drizzle's own class would not do: in a CommonJS application, and in
 * an application with a second copy of drizzle-orm, it is another type.
 */
export interface ChatDatabase {
  // The dialect rules out MySQL databases, which have the same methods.
  execute(query: string | { getSQL(): unknown }): Promise<unknown> & { readonly _: { readonly dialect: "pg" } };
  transaction<T>(
    work: (tx: ChatDatabase) => Promise<T>,
    config?: { isolationLevel?: "read committed" | "repeatable read"; accessMode?: "read only" },
  ): Promise<T>;
  /** The option `prepare` needs `$with` and `with`. */
  $with(name: string, selection: object): unknown;
  with(...queries: never[]): unknown;
}

export interface MigrateOptions {
  /** The Postgres schema of the tables, which is created if it does not exist. Default `"chat_store"`. */
  schema?: string | undefined;
}
