import { test } from "vitest";

test.skip("everything on Citus, for want of a CITUS_URL");
