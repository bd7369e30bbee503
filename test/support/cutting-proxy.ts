import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A TCP proxy in front of a web server: a network that fails. */
export async function cuttingProxy(url: string) {
  const target = new URL(url);
  const clients = new Set<Socket>();
  let isDown = false;

  const server = createServer({ noDelay: true }, (client) => {
    if (isDown) {
      client.resetAndDestroy();
      return;
    }
    const upstream = connect({ port: Number(target.port), host: target.hostname, noDelay: true });
    clients.add(client);
    const end = () => {
      clients.delete(client);
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) socket.on("close", end).on("error", end);
    client.pipe(upstream).pipe(client);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");

  /** Resets all connections. New ones are let through. */
  const cut = () => {
    for (const client of clients) client.resetAndDestroy();
  };
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut,
    /** Resets all connections, and every new one until `up`. */
    down() {
      isDown = true;
      cut();
    },
    up() {
      isDown = false;
    },
    async close() {
      server.close();
      cut();
      await once(server, "close");
    },
  };
}
