import { test } from "vitest";

test.skip("the tests on Citus need a CITUS_URL");
