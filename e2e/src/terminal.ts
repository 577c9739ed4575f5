/** A program on a real terminal, driven by a test. */
import { spawn } from "node:child_process";
import type { Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { cleanEnvironment } from "@gantry/testkit/run";

const driver = fileURLToPath(new URL("terminal_driver.py", import.meta.url));

/** A running program and what its terminal has shown so far. */
export class Terminal implements AsyncDisposable {
  private shown = "";
  private ended: number | undefined;
  private readonly waiters = new Set<() => void>();
  private readonly child;
  private readonly sizes: Writable;

  constructor(argv: readonly string[], env: Readonly<Record<string, string>> = {}) {
    this.child = spawn("python3", [driver, ...argv], {
      env: cleanEnvironment({ TERM: "xterm", ...env }),
      stdio: ["pipe", "pipe", "inherit", "pipe"],
    });
    this.sizes = this.child.stdio[3] as Writable;
    for (const stream of [this.child.stdin, this.sizes]) stream?.on("error", () => undefined);
    this.child.stdout?.on("data", (chunk: Buffer) => {
      this.shown += chunk.toString();
      this.wake();
    });
    this.child.once("close", (code, signal) => {
      this.ended = code ?? (signal === null ? 0 : 137);
      this.wake();
    });
  }

  /** Types text, control characters included. */
  type(text: string): void {
    this.child.stdin?.write(text);
  }

  /** Sets the terminal's size, which sends SIGWINCH. */
  resize(rows: number, columns: number): void {
    this.sizes.write(`${String(rows)} ${String(columns)}\n`);
  }

  /** Resolves when the text shown since the last wait matches, and forgets it. */
  async waitFor(pattern: RegExp, timeoutMs = 20_000): Promise<string> {
    return await this.until(
      () => {
        const match = pattern.exec(this.shown);
        if (match === null) return undefined;
        const seen = this.shown.slice(0, match.index + match[0].length);
        this.shown = this.shown.slice(seen.length);
        return seen;
      },
      `the terminal to show ${String(pattern)}`,
      timeoutMs,
    );
  }

  /** Resolves with the program's exit code. */
  async exited(timeoutMs = 20_000): Promise<number> {
    return await this.until(() => this.ended, "the program to end", timeoutMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.ended === undefined) this.child.kill("SIGKILL");
    await this.exited();
  }

  private wake(): void {
    for (const waiter of this.waiters) waiter();
  }

  private async until<T>(probe: () => T | undefined, what: string, timeoutMs: number): Promise<T> {
    return await new Promise<T>((resolve, reject) => {
      const check = (): void => {
        const value = probe();
        if (value === undefined) return;
        finish();
        resolve(value);
      };
      const timer = setTimeout(() => {
        finish();
        reject(
          new Error(
            `waited ${String(timeoutMs)} ms for ${what}; it shows: ${JSON.stringify(this.shown)}`,
          ),
        );
      }, timeoutMs);
      const finish = (): void => {
        clearTimeout(timer);
        this.waiters.delete(check);
      };
      this.waiters.add(check);
      check();
    });
  }
}
