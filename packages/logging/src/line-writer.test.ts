import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { openLineWriter, type WriteCalls } from "./line-writer.ts";

type Done = (error: Error | null, written: number) => void;

/** A disk that answers when the test says so. */
class FakeDisk implements WriteCalls {
  readonly written: string[] = [];
  #pending: { bytes: Buffer; done: Done } | undefined;

  write(_fd: number, bytes: Buffer, done: Done): void {
    assert.equal(this.#pending, undefined, "two writes at a time");
    this.#pending = { bytes, done };
  }

  writeSync(_fd: number, bytes: Buffer): number {
    this.written.push(bytes.toString());
    return bytes.length;
  }

  /** Answers the write that waits. */
  answer(limit = Number.POSITIVE_INFINITY): void {
    const { bytes, done } = this.#take();
    const taken = bytes.subarray(0, limit);
    this.written.push(taken.toString());
    done(null, taken.length);
  }

  refuse(): void {
    this.#take().done(Object.assign(new Error("full"), { code: "ENOSPC" }), 0);
  }

  #take(): { bytes: Buffer; done: Done } {
    const pending = this.#pending;
    assert.ok(pending !== undefined, "nothing is being written");
    this.#pending = undefined;
    return pending;
  }
}

describe("the writer of log lines", () => {
  it("writes at once, and together what comes meanwhile", () => {
    const disk = new FakeDisk();
    const writer = openLineWriter(2, disk);
    writer.write("one\n");
    writer.write("two\n");
    writer.write("three\n");
    disk.answer(2);
    disk.answer();
    disk.answer();
    assert.deepEqual(disk.written, ["on", "e\n", "two\nthree\n"]);
  });

  it("goes on after a full disk, and says how many lines it cost", () => {
    const disk = new FakeDisk();
    const writer = openLineWriter(2, disk);
    writer.write("one\n");
    writer.write("two\n");
    disk.refuse();
    disk.refuse();
    writer.write("three\n");
    disk.answer();
    const [warning = "", line] = disk.written.join("").split("\n");
    assert.equal((JSON.parse(warning) as { lines: number }).lines, 2);
    assert.equal(line, "three");
  });

  it("keeps a bounded number of lines for a disk that does not answer", () => {
    const disk = new FakeDisk();
    const writer = openLineWriter(2, disk);
    writer.write("first\n");
    for (let index = 0; index < 3; index++) writer.write(`${"x".repeat(600_000)}\n`);
    disk.answer();
    disk.answer();
    assert.match(disk.written[1] ?? "", /"lines":2.*\nx{600000}\n$/s);
  });

  it("writes what waits when the process ends", () => {
    const disk = new FakeDisk();
    const writer = openLineWriter(2, disk);
    writer.write("under way\n");
    writer.write("last\n");
    writer.flush();
    assert.deepEqual(disk.written, ["last\n"]);
  });
});
