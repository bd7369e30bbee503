import { badRequest, HttpError } from "./errors.ts";

/** Reads the JSON object of a request, and no more than `maxBytes` of it. */
export async function readJsonObject(request: Request, maxBytes: number): Promise<Record<string, unknown>> {
  // Browsers send other types across sites without asking the server first.
  if (!/^application\/json\s*(;|$)/i.test(request.headers.get("content-type") ?? "")) {
    throw new HttpError("unsupported_media_type", "Expected content-type: application/json.");
  }
  const wasRead = request.bodyUsed || request.body?.locked;
  const text = wasRead ? "" : await readText(request, maxBytes);
  // Some adapters make an empty body of one that middleware has read.
  if (wasRead || (text === "" && Number(request.headers.get("content-length")) > 0)) {
    throw new Error(
      "The body was read before the chat handler got the request. Mount the handler before express.json() and the like.",
    );
  }
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    throw badRequest("The body is not JSON.");
  }
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw badRequest("The body is not a JSON object.");
  }
  return body as Record<string, unknown>;
}

/** Counts what arrives, because a client may send more than its content-length says, or not say it. */
async function readText(request: Request, maxBytes: number): Promise<string> {
  const tooLarge = () => new HttpError("too_large", `The body has more than ${maxBytes} bytes.`);
  if (Number(request.headers.get("content-length")) > maxBytes) throw tooLarge();
  const reader = request.body?.getReader();
  if (!reader) return "";
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let [text, size] = ["", 0];
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return text + decoder.decode();
      size += value.byteLength;
      if (size > maxBytes) throw tooLarge();
      text += decoder.decode(value, { stream: true });
    }
  } catch (error) {
    void reader.cancel().catch(() => {});
    if (error instanceof HttpError) throw error;
    throw badRequest("The body broke off, or is not UTF-8.");
  }
}

/** Throws if the object has other keys, which the route would ignore. */
export function refuseOtherKeys(body: object, keys: readonly string[], advice = ""): void {
  const other = Object.keys(body).find((key) => !keys.includes(key));
  if (other !== undefined) {
    throw badRequest(`Unexpected ${JSON.stringify(other.slice(0, 100))}; expected only ${keys.join(", ")}.${advice}`);
  }
}
