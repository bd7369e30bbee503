/** Whether this run has all the time it needs: every combination, every major version, figures that a busy machine would spoil. */
export const isLong = Boolean(process.env.CI_LONG);
