/** Whether this is the long run, with `CI_LONG=1`: it repeats more, and judges figures that other work on the machine can spoil. */
export const isLong = Boolean(process.env.CI_LONG);
