/** What a container is stopped with. */
import { constants } from "node:os";

const realTime = /^RTMIN(?:\+(?:[1-9]|1[0-5]))?$|^RTMAX(?:-(?:[1-9]|1[0-4]))?$/;

/** Whether STOPSIGNAL takes it: any number but 0, or a name, with or without SIG, in any case. */
export function isStopSignal(text: string): boolean {
  if (/^[-+]?\d+$/.test(text)) return Number(text) !== 0;
  const name = text.toUpperCase().replace(/^SIG/, "");
  return `SIG${name}` in constants.signals || realTime.test(name);
}
