import type { ChatDatabase } from "../types.ts";
import { sqlStateOf } from "./sqlstate.ts";
import { isTransaction } from "./transaction.ts";
import { otherWritersCameFirst } from "./typed-errors.ts";

/** After so many, it is not other writers: a trigger of somebody's, say, that lets nothing be written. */
const maxAttempts = 50;

/** Another writer came first, at a higher level than read committed; or each had waited for what the other had. */
const lostRaces = ["40001", "40P01"];

/**
 * Does `work` again as long as it gives undefined: what it has seen was not what it found when it came to write, because another
 * writer was there in between. Where the database defaults to a higher level than read committed, that is an error, by which a
 * transaction of the caller's is lost.
 */
export async function retryOvertaken<T>(
  db: ChatDatabase,
  work: (attempt: number) => Promise<T | undefined>,
): Promise<T> {
  for (let attempt = 1; attempt <= maxAttempts; attempt++) {
    try {
      const done = await work(attempt);
      if (done !== undefined) return done;
    } catch (error) {
      const isRace = lostRaces.includes(sqlStateOf(error) ?? "");
      if (!isRace || isTransaction(db)) throw error;
    }
  }
  throw otherWritersCameFirst(maxAttempts);
}
