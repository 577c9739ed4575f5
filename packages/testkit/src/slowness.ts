/** How much slower than usual the machine is: an emulated one needs its time. GANTRY_TEST_SLOWNESS, default 1. */
export const slowness = Math.max(1, Number(process.env["GANTRY_TEST_SLOWNESS"] ?? 1));
