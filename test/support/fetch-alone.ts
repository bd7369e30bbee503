import { once } from "node:events";
import { Agent, type IncomingMessage, request } from "node:http";
import { text } from "node:stream/consumers";

interface Sent {
  method: string;
  headers: Record<string, string>;
  body: string;
}

/**
 * As `fetch`, over a connection that no other request gets. For a body that the server does not read to its end: half a
 * second after its response the server closes the connection, and a request that `fetch` has put on it by then gets no
 * answer.
 */
export async function fetchAlone(url: string, { body, ...sent }: Sent): Promise<Response> {
  const agent = new Agent({ keepAlive: true });
  const asking = request(url, { ...sent, agent });
  asking.end(body);
  const [response]: IncomingMessage[] = await once(asking, "response");
  if (!response) throw new Error("There is no response.");
  // The server may close the connection before it has taken all of the body.
  asking.on("error", () => {});
  const read = await text(response);
  agent.destroy();
  return new Response(read, { status: response.statusCode ?? 0, headers: response.headers as Record<string, string> });
}
