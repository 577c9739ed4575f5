/** Building request messages. */

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { StringListSchema } from "@gantry/proto/container";

/** A list that may be absent, as against empty. */
export type TextList = MessageInitShape<typeof StringListSchema>;

/** Keeps "not given" apart from "given, empty". */
export function textList(values: string[] | undefined): TextList | undefined {
  return values === undefined ? undefined : { values };
}

/** The object without its undefined fields, as message initialisers want it. */
export function given<T extends object>(fields: T): Given<T> {
  const kept = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(kept) as Given<T>;
}

/** Fields that may be undefined become optional. */
export type Given<T> = {
  [K in keyof T as undefined extends T[K] ? never : K]: T[K];
} & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>;
};
