import { HttpError } from "./errors.ts";

/**
 * Refuses a request that another site makes in the user's browser, with the user's cookies. Browsers say where a
 * request comes from in `Sec-Fetch-Site`; old ones, and all on plain HTTP, only in `Origin`. A request with neither does
 * not come from a browser.
 *
 * `Origin` is compared with `Host`, because servers fill `request.url` with whatever they were configured with.
 *
 * @see https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/Sec-Fetch-Site
 */
export function refuseOtherSites({ headers }: Request, trustedOrigins: readonly string[]): void {
  const site = headers.get("sec-fetch-site");
  if (site === "same-origin" || site === "none") return;
  const origin = headers.get("origin");
  if (origin !== null && trustedOrigins.includes(origin)) return;
  if (site === null && (origin === null || isHost(origin, headers.get("host")))) return;
  throw new HttpError("forbidden", "The request comes from a site that is not among trustedOrigins.");
}

/** Some origins are no URL or have no host: "null" is that of a sandboxed frame. Some servers pass no `Host`. */
const isHost = (origin: string, host: string | null): boolean =>
  Boolean(host) && URL.canParse(origin) && new URL(origin).host === host?.toLowerCase();
