import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { text } from "node:stream/consumers";
import pg from "pg";
import { createWebSocketStream, WebSocketServer } from "ws";

/** Where Neon's drivers connect to, in front of the server of `databaseUrl`: WebSockets that carry Postgres's protocol. */
export async function startWebSocketProxy(databaseUrl: string) {
  const { hostname, port } = new URL(databaseUrl);
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  server.on("connection", (socket) => {
    const client = createWebSocketStream(socket);
    const upstream = connect({ host: hostname, port: Number(port || 5432), noDelay: true });
    client.pipe(upstream).pipe(client);
    client.on("error", () => upstream.destroy());
    upstream.on("error", () => client.destroy());
  });
  await new Promise<void>((resolve) => server.once("listening", resolve));
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: () => new Promise((resolve) => server.close(resolve)),
  };
}

/** As {@link startWebSocketProxy}, for one statement a request: values come and go as Postgres's own texts. */
export async function startHttpEndpoint(databaseUrl: string) {
  const pool = new pg.Pool({ connectionString: databaseUrl });
  pool.on("error", () => {});
  const server = createServer(async (request, response) => {
    response.setHeader("content-type", "application/json");
    try {
      const { query, params } = JSON.parse(await text(request));
      const types = { getTypeParser: () => String };
      const result = await pool.query({ text: query, values: params, rowMode: "array", types });
      const { fields, rows, rowCount, command } = result;
      response.end(JSON.stringify({ fields, rows, rowCount, command }));
    } catch (error) {
      response.statusCode = 400;
      response.end(JSON.stringify({ ...(error as pg.DatabaseError), message: (error as Error).message }));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/sql`,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await pool.end();
    },
  };
}
