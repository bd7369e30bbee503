import type { Reporter, TestModule } from "vitest/node";

/** How many tests of a run may need a second try. */
const most = 2;

/** Prints each test that needed another try as a line `FLAKY …`. The run fails if these are more than two. */
export class FlakyReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]) {
    const retried = modules
      .flatMap((module) => [...module.children.allTests()])
      .filter((test) => (test.diagnostic()?.retryCount ?? 0) > 0);
    for (const { module, fullName } of retried) console.log(`FLAKY ${module.relativeModuleId} > ${fullName}`);
    if (retried.length <= most) return;
    console.error(`${retried.length} tests needed another try: more than ${most}, which fails the run.`);
    process.exitCode = 1;
  }
}
