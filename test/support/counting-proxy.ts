import { type AddressInfo, connect, createServer } from "node:net";
import { setTimeout } from "node:timers/promises";

export interface Traffic {
  /** Statements the client had the server execute, BEGIN and COMMIT included. */
  statements: number;
  /** How often the client sent something and then waited for the answer. */
  roundTrips: number;
  bytesSent: number;
  bytesReceived: number;
}

/**
 * A TCP proxy in front of Postgres that counts what a driver sends through it: past the driver, so nothing is missed.
 * @param delay - milliseconds that every packet is held back, each way.
 */
export async function countingProxy(databaseUrl: string, { delay = 0 } = {}) {
  const target = new URL(databaseUrl);
  const traffic: Traffic = { statements: 0, roundTrips: 0, bytesSent: 0, bytesReceived: 0 };
  const server = createServer({ noDelay: true }, (client) => {
    const upstream = connect({ port: Number(target.port || 5432), host: target.hostname, noDelay: true });
    let clientsTurn = false;
    const statementsIn = statementCounter();
    client.on("data", async (data) => {
      if (!clientsTurn) traffic.roundTrips++;
      clientsTurn = true;
      traffic.bytesSent += data.length;
      traffic.statements += statementsIn(data);
      if (delay) await setTimeout(delay);
      upstream.write(data);
    });
    upstream.on("data", async (data) => {
      clientsTurn = false;
      traffic.bytesReceived += data.length;
      if (delay) await setTimeout(delay);
      client.write(data);
    });
    client.on("close", () => upstream.destroy()).on("error", () => upstream.destroy());
    upstream.on("close", () => client.destroy()).on("error", () => client.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = new URL(databaseUrl);
  url.hostname = "127.0.0.1";
  url.port = String((server.address() as AddressInfo).port);

  return {
    url: url.href,
    /** All so far. */
    traffic: (): Traffic => ({ ...traffic }),
    /** What `work` made the driver send, over connections that were open before. */
    async count(work: () => Promise<unknown>): Promise<Traffic> {
      const before = { ...traffic };
      await work();
      return {
        statements: traffic.statements - before.statements,
        roundTrips: traffic.roundTrips - before.roundTrips,
        bytesSent: traffic.bytesSent - before.bytesSent,
        bytesReceived: traffic.bytesReceived - before.bytesReceived,
      };
    },
    close: () => new Promise((resolve) => server.close(resolve)),
  };
}

/** Counts Execute (E) and simple Query (Q) messages in a stream of frontend messages: a type byte and a length each. */
function statementCounter() {
  let rest = Buffer.alloc(0);
  let started = false;
  return (data: Buffer) => {
    let statements = 0;
    rest = Buffer.concat([rest, data]);
    while (rest.length >= 5) {
      // The first message of a connection has no type byte.
      const length = started ? rest.readInt32BE(1) + 1 : rest.readInt32BE(0);
      if (rest.length < length) break;
      if (started && (rest[0] === 0x45 || rest[0] === 0x51)) statements++;
      started = true;
      rest = rest.subarray(length);
    }
    return statements;
  };
}
