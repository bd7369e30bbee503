import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A TCP proxy in front of Postgres that breaks connections, and can be aimed at another server. */
export async function faultyProxy(databaseUrl: string) {
  let target = new URL(databaseUrl);
  let cut: Cut | undefined;
  const clients = new Set<Socket>();

  const server = createServer({ noDelay: true }, (client) => {
    const upstream = connect({ port: Number(target.port || 5432), host: target.hostname, noDelay: true });
    const end = () => {
      clients.delete(client);
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) socket.on("close", end).on("error", end);
    clients.add(client);

    const answersIn = answerReader();
    client.on("data", (data) => {
      if (cut?.lose === "statement" && cut.statement === 1) {
        cut = undefined;
        end();
      } else upstream.write(data);
    });
    upstream.on("data", (data) => {
      const { completed, ready } = answersIn(data);
      if (cut) cut.statement -= completed;
      if (cut?.lose !== "answer" || cut.statement > 0) client.write(data);
      else if (ready) {
        // By now the server has committed what it was to commit.
        cut = undefined;
        end();
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = new URL(databaseUrl);
  url.hostname = "127.0.0.1";
  url.port = String((server.address() as AddressInfo).port);

  const breakConnections = () => {
    for (const client of clients) client.resetAndDestroy();
  };
  return {
    url: url.href,
    /** Where new connections lead from now on. */
    aimAt(databaseUrl: string) {
      target = new URL(databaseUrl);
    },
    /** All of them, with a reset, as by a firewall. */
    breakConnections,
    /**
     * Breaks the connection at the n-th statement from now, counting from 1: instead of handing it to the server, or when
     * the server has executed it, instead of handing back the answer.
     */
    cutAt(next: Cut) {
      cut = { ...next };
    },
    /** Whether the cut has been made. If not, it never will be. */
    wasCut() {
      const made = cut === undefined;
      cut = undefined;
      return made;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(resolve);
        breakConnections();
      }),
  };
}

export interface Cut {
  statement: number;
  lose: "statement" | "answer";
}

/** Finds CommandComplete (C) and ReadyForQuery (Z) in a stream of backend messages: a type byte and a length each. */
function answerReader() {
  let rest = Buffer.alloc(0);
  return (data: Buffer) => {
    let completed = 0;
    let ready = false;
    rest = Buffer.concat([rest, data]);
    while (rest.length >= 5) {
      const length = rest.readInt32BE(1) + 1;
      if (rest.length < length) break;
      if (rest[0] === 0x43) completed++;
      ready = rest[0] === 0x5a;
      rest = rest.subarray(length);
    }
    return { completed, ready };
  };
}
