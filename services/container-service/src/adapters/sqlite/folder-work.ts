/** Changes of folders around a write, on the writer's thread. */
import { mkdirSync, renameSync, rmdirSync } from "node:fs";
import { hasErrno } from "@gantry/errors";
import type { FolderStep } from "../../ports/metadata.ts";

/** Takes the steps back, the last one first. */
export type TakeBack = () => void;

/** Takes steps in order. One that fails takes back those before it, and throws the system's error. */
export function takeSteps(steps: readonly FolderStep[]): TakeBack {
  const taken: TakeBack[] = [];
  const takeBack = (): void => {
    for (const undo of taken.reverse()) undo();
  };
  try {
    for (const step of steps) taken.push("make" in step ? make(step) : move(step));
  } catch (error) {
    takeBack();
    throw error;
  }
  return takeBack;
}

function make({ make: folder, mode }: Extract<FolderStep, { make: string }>): TakeBack {
  try {
    mkdirSync(folder, { mode });
  } catch (error) {
    if (!hasErrno(error, "EEXIST")) throw error;
    return nothingToDo;
  }
  return () => {
    rmdirSync(folder);
  };
}

function move({ move: from, to }: Extract<FolderStep, { move: string }>): TakeBack {
  try {
    renameSync(from, to);
  } catch (error) {
    if (!hasErrno(error, "ENOENT")) throw error;
    return nothingToDo;
  }
  return () => {
    renameSync(to, from);
  };
}

function nothingToDo(): void {
  // Nothing was changed.
}
