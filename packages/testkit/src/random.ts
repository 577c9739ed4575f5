/** A generator with a seed (mulberry32), so that a run can be had again. */

/** Random choices. */
export interface Random {
  /** In [0, 1). */
  next(): number;
  /** In [from, to]. */
  integer(from: number, to: number): number;
  pick<T>(choices: readonly T[]): T;
}

/** The seed of this run: from GANTRY_TEST_SEED, else a new one. Print it. */
export function chooseSeed(): number {
  return Number(process.env["GANTRY_TEST_SEED"] ?? Date.now() % 1_000_000);
}

export function randomFrom(seed: number): Random {
  let state = seed;
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const integer = (from: number, to: number): number => from + Math.floor(next() * (to - from + 1));
  return {
    next,
    integer,
    pick(choices) {
      const choice = choices[integer(0, choices.length - 1)];
      if (choice === undefined) throw new Error("nothing to pick from");
      return choice;
    },
  };
}
