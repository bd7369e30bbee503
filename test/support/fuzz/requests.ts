import fc from "fast-check";
import { everywhereInUrl, hostileTexts } from "./texts.ts";

/** A request to the handler, as a client could send it. */
export interface FuzzedRequest {
  method: string;
  /** Under the base path. */
  path: string;
  headers: Record<string, string>;
  body: string | undefined;
}

const ids = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom("own", "own", "foreign", "missing", "q", "a") },
  { weight: 2, arbitrary: fc.constantFrom(...hostileTexts) },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 300 }) },
);
const segment = fc.oneof(
  { weight: 5, arbitrary: ids.map(everywhereInUrl) },
  { weight: 1, arbitrary: fc.constantFrom("%", "%zz", "%FF", "..", "") },
);
const paths = fc.oneof(
  { weight: 6, arbitrary: fc.constant("/") },
  { weight: 5, arbitrary: segment.map((id) => `/${id}`) },
  { weight: 3, arbitrary: segment.map((id) => `/${id}/fork`) },
  { weight: 3, arbitrary: segment.map((id) => `/${id}/stream`) },
  { weight: 3, arbitrary: fc.tuple(segment, segment).map(([id, messageId]) => `/${id}/messages/${messageId}`) },
  { weight: 3, arbitrary: fc.tuple(segment, segment).map(([id, branchId]) => `/${id}/branches/${branchId}`) },
  { weight: 1, arbitrary: fc.array(segment, { maxLength: 5 }).map((segments) => `/${segments.join("/")}`) },
);

const queryValues = fc.oneof(
  fc.constantFrom("1", "2", "0", "-1", "true", "false", "q", "a", "Why", "", "1.own", "99999999999999999999", "NaN"),
  fc.constantFrom(...hostileTexts),
);
const queryNames = fc.constantFrom(
  "limit",
  "cursor",
  "archived",
  "search",
  "before",
  "version",
  "message",
  "following",
  "other",
  "__proto__",
);
const queries = fc.oneof(
  { weight: 2, arbitrary: fc.constant("") },
  {
    weight: 3,
    arbitrary: fc
      .array(fc.tuple(queryNames, queryValues), { maxLength: 4 })
      .map((pairs) => pairs.map(([name, value]) => `${name}=${everywhereInUrl(value)}`).join("&"))
      .map((query) => (query === "" ? "" : `?${query}`)),
  },
);

/** Mostly JSON, of the keys that the routes read. */
const values = fc.oneof(
  ids,
  fc.jsonValue({ maxDepth: 3 }),
  fc.constantFrom(...hostileTexts),
  fc.constantFrom("regenerate-message", "submit-message"),
);
const part = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom("Why?", "New", "\0", "\ud800").map((text) => ({ type: "text", text })) },
  { weight: 1, arbitrary: values },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constantFrom("file", "tool-read", "data-x", "reasoning", "text"),
      text: values,
      url: values,
    }),
  },
);
const message = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record(
      {
        id: fc.oneof(fc.constantFrom("q", "a", "new"), values),
        role: fc.oneof(
          { weight: 4, arbitrary: fc.constant("user") },
          fc.constantFrom("assistant", "system", ""),
          values,
        ),
        parts: fc.oneof({ weight: 4, arbitrary: fc.array(part, { maxLength: 3 }) }, values),
        metadata: values,
      },
      { requiredKeys: ["id", "role", "parts"] },
    ),
  },
  { weight: 1, arbitrary: values },
);
const object = fc.oneof(
  fc.record(
    {
      id: ids,
      message,
      trigger: fc.constantFrom("submit-message", "regenerate-message", "x"),
      messageId: fc.constantFrom("q", "a", "new", ""),
    },
    { requiredKeys: ["id", "message"] },
  ),
  fc.record({ id: ids, throughMessageId: fc.constantFrom("q", "a", "new"), title: values }, { requiredKeys: ["id"] }),
  fc.record(
    { title: fc.oneof(fc.constant("New"), values), archived: fc.oneof(fc.boolean(), values) },
    { requiredKeys: [] },
  ),
  fc.record(
    {
      id: values,
      message,
      messages: fc.array(message, { maxLength: 2 }),
      title: values,
      metadata: values,
      userId: fc.constant("s"),
    },
    { requiredKeys: [] },
  ),
);
const bodies = fc.oneof(
  { weight: 8, arbitrary: object.map((value) => JSON.stringify(value)) },
  { weight: 1, arbitrary: values.map((value) => JSON.stringify(value)) },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 50 }) },
);

const headers = fc.record(
  {
    "content-type": fc.oneof(
      { weight: 12, arbitrary: fc.constant("application/json") },
      fc.constantFrom("text/plain", "", "application/x-www-form-urlencoded"),
    ),
    "sec-fetch-site": fc.oneof(
      { weight: 8, arbitrary: fc.constant("same-origin") },
      fc.constantFrom("none", "cross-site", "same-site", "x"),
    ),
    origin: fc.constantFrom("http://localhost", "https://evil.example", "null", "x"),
    host: fc.constantFrom("localhost", "evil.example", ""),
    "content-length": fc.constantFrom("0", "1", "999999999", "x"),
  },
  { requiredKeys: ["content-type", "sec-fetch-site"] },
);

export const fuzzedRequest: fc.Arbitrary<FuzzedRequest> = fc
  .record({
    method: fc.oneof(
      { weight: 12, arbitrary: fc.constantFrom("GET", "POST", "POST", "PATCH", "DELETE") },
      fc.constantFrom("HEAD", "OPTIONS", "PUT", "QUERY"),
    ),
    path: fc.tuple(paths, queries).map((both) => both.join("")),
    headers,
    body: fc.oneof({ weight: 6, arbitrary: bodies }, fc.constant(undefined)),
  })
  .map((request) => {
    const body = ["GET", "HEAD", "OPTIONS"].includes(request.method) ? undefined : request.body;
    // A body that is announced and empty was read by middleware.
    const { "content-length": length, ...others } = request.headers;
    const announced = body && length !== undefined ? { "content-length": length } : {};
    return { ...request, body, headers: { ...others, ...announced } as Record<string, string> };
  });
