/** Archives as they come over the wire: behind a look at the path, as `docker cp` sends them, and in worse ways. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import net from "node:net";
import { after, before, describe, it } from "node:test";
import { eventually } from "@gantry/testkit/eventually";
import { mustRun } from "@gantry/testkit/run";
import { TestEngine } from "@gantry/testkit/test-engine";

let engine: TestEngine;
/** 3 MB in several files, and the sum of what they hold. */
let archive: Buffer;
let sum: string;
before(async () => {
  engine = await TestEngine.start();
  await engine.docker(["run", "-d", "--name", "box", "busybox", "sleep", "100000"]);
  const script = `mkdir wire; for i in 1 2 3 4 5 6; do head -c 500000 /dev/urandom > wire/$i; done; cat wire/* | md5sum; tar -cf wire.tar wire`;
  sum = (await mustRun(["sh", "-ec", script], { cwd: engine.root })).stdout.trim();
  archive = await readFile(`${engine.root}/wire.tar`);
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

/** A connection to the engine that keeps all that it is told. */
class Wire {
  readonly socket: net.Socket;
  #text = "";

  constructor() {
    this.socket = net.connect({
      path: engine.dockerHost.replace("unix://", ""),
      allowHalfOpen: true,
    });
    this.socket.setEncoding("latin1");
    this.socket.on("data", (text: string) => {
      this.#text += text;
    });
    this.socket.on("error", () => undefined);
  }

  /** Waits for the heads of so many answers, and takes out what has come. */
  async answer(count = 1): Promise<string> {
    await eventually(() => this.#text.split("\r\n\r\n").length > count);
    const text = this.#text;
    this.#text = "";
    return text;
  }

  /** All up to the end of the connection. */
  async rest(): Promise<string> {
    if (!this.socket.readableEnded) await once(this.socket, "end");
    return this.#text;
  }

  write(bytes: string | Uint8Array): Promise<void> {
    return new Promise((resolve) =>
      this.socket.write(bytes, () => {
        resolve();
      }),
    );
  }

  /** Looks at a path first, as the CLI does. */
  async look(container = "box"): Promise<void> {
    await this.write(
      `HEAD /v1.47/containers/${container}/archive?path=/ HTTP/1.1\r\nHost: d\r\n\r\n`,
    );
    await this.answer();
  }
}

const put = (headers: string, { container = "box", to = "/" } = {}): string =>
  `PUT /v1.47/containers/${container}/archive?path=${to} HTTP/1.1\r\nHost: d\r\n${headers}\r\n\r\n`;
const inChunks = "Transfer-Encoding: chunked";

function chunks(bytes: Buffer, size = 32_768): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) {
    const piece = bytes.subarray(at, at + size);
    parts.push(Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from("\r\n"));
  }
  return Buffer.concat([...parts, Buffer.from("0\r\n\r\n")]);
}

/** What the container has got, then it is taken away. */
async function arrived(): Promise<string> {
  const script = "cat /wire/* | md5sum; rm -rf /wire";
  return (await engine.docker(["exec", "box", "sh", "-c", script])).trim();
}

/** Unpack programs of this engine that have not ended. */
async function programs(): Promise<number> {
  const services = await engine.pidsOf("container-service");
  let count = 0;
  for (const pid of await readdir("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
    const [, parent] = /^PPid:\t(\d+)$/m.exec(status) ?? [];
    if (services.includes(Number(parent)) && /^Name:\tunpack$/m.test(status)) count++;
  }
  return count;
}

describe("an archive behind a look at its path", () => {
  it("arrives whole, in chunks and with a length, and its answer ends the connection", async () => {
    const bodies = [
      [inChunks, chunks(archive)],
      [inChunks, chunks(archive, 300)],
      [`Content-Length: ${String(archive.length)}`, archive],
    ] as const;
    for (const [headers, body] of bodies) {
      const wire = new Wire();
      await wire.look();
      await wire.write(put(headers));
      await wire.write(body);
      const answer = await wire.rest();
      assert.match(answer, /^HTTP\/1\.1 200 OK\r\n/);
      assert.match(answer, /\r\nConnection: close\r\n/);
      assert.equal(await arrived(), sum);
      wire.socket.destroy();
    }
  });

  it("arrives when its head comes in pieces, or together with all of it", async () => {
    const whole = Buffer.concat([Buffer.from(put(inChunks)), chunks(archive)]);
    for (const first of [3, 40, 90, 120, whole.length]) {
      const wire = new Wire();
      await wire.look();
      await wire.write(whole.subarray(0, first));
      if (first < whole.length) {
        await new Promise((resolve) => setImmediate(resolve));
        // With nothing left, a write would only find out that the answer has ended the connection already.
        await wire.write(whole.subarray(first));
      }
      assert.match(await wire.answer(), /^HTTP\/1\.1 200 OK\r\n/);
      assert.equal(await arrived(), sum);
      wire.socket.destroy();
    }
  });

  it("is asked for when the client waits to be asked", async () => {
    const wire = new Wire();
    await wire.look();
    await wire.write(put(`${inChunks}\r\nExpect: 100-continue`));
    assert.equal(await wire.answer(), "HTTP/1.1 100 Continue\r\n\r\n");
    await wire.write(chunks(archive));
    assert.match(await wire.rest(), /^HTTP\/1\.1 200 OK\r\n/);
    assert.equal(await arrived(), sum);
    wire.socket.destroy();
  });

  it("is refused while it comes, in words that the client gets to read", async () => {
    const refusals = [
      [{ container: "nobody" }, 404, "No such container: nobody"],
      [{ to: "/nowhere" }, 404, "Could not find the file /nowhere in container box"],
      [{ to: "/etc/passwd" }, 400, "extraction point is not a directory"],
    ] as const;
    for (const [target, status, message] of refusals) {
      const wire = new Wire();
      await wire.look();
      await wire.write(put(inChunks, target));
      await wire.write(chunks(archive));
      const answer = await wire.rest();
      assert.match(answer, new RegExp(`^HTTP/1\\.1 ${String(status)} `));
      assert.ok(answer.includes(JSON.stringify({ message })), answer);
      wire.socket.destroy();
    }
  });

  it("that reaches outside is refused before its end", async () => {
    const wire = new Wire();
    await wire.look();
    await wire.write(put(inChunks));
    const script = `echo x > outside; tar -cf - --transform 's,^,../../,' -P outside`;
    const { stdout } = await mustRun(["sh", "-ec", `(${script}) | base64 -w0`], {
      cwd: engine.root,
    });
    const head = Buffer.from(stdout, "base64").subarray(0, 1024);
    // The body's end never comes.
    await wire.write(chunks(Buffer.concat([head, archive])).subarray(0, -5));
    assert.match(await wire.rest(), /^HTTP\/1\.1 500 .*invalid entry name/s);
    wire.socket.destroy();
  });

  it("whose chunks make no sense ends in a 400", async () => {
    const wire = new Wire();
    await wire.look();
    await wire.write(put(inChunks));
    await wire.write(
      Buffer.concat([chunks(archive).subarray(0, 100_000), Buffer.from("\nnonsense")]),
    );
    await wire.write(Buffer.alloc(100_000, 7));
    assert.match(await wire.rest(), /^HTTP\/1\.1 400 Bad Request\r\n/);
    assert.ok(await eventually(async () => (await programs()) === 0));
    await engine.docker(["exec", "box", "rm", "-rf", "/wire"]);
    wire.socket.destroy();
  });

  it("ends its program when the client goes in the middle, or before it has begun", async () => {
    for (const sent of [0, 200_000]) {
      const wire = new Wire();
      await wire.look();
      await wire.write(put(inChunks));
      await wire.write(chunks(archive).subarray(0, sent));
      assert.ok(await eventually(async () => (await programs()) > 0));
      wire.socket.destroy();
      assert.ok(await eventually(async () => (await programs()) === 0));
      await engine.docker(["exec", "box", "rm", "-rf", "/wire"]);
    }
  });

  it("takes no request that comes right behind it", async () => {
    const wire = new Wire();
    await wire.look();
    await wire.write(put(inChunks));
    const next = "DELETE /v1.47/containers/box?force=1 HTTP/1.1\r\nHost: d\r\n\r\n";
    await wire.write(Buffer.concat([chunks(archive), Buffer.from(next)]));
    const answer = await wire.rest();
    assert.match(answer, /^HTTP\/1\.1 200 OK\r\n/);
    assert.equal(answer.match(/HTTP\/1\.1/g)?.length, 1);
    assert.equal(await arrived(), sum);
    wire.socket.destroy();
  });

  it("may be small, and leaves the connection for more requests", async () => {
    const wire = new Wire();
    const small = Buffer.alloc(1024);
    for (let round = 0; round < 3; round++) {
      await wire.look();
      await wire.write(Buffer.concat([Buffer.from(put("Content-Length: 1024")), small]));
      const answer = await wire.answer();
      assert.match(answer, /^HTTP\/1\.1 200 OK\r\n/);
      assert.doesNotMatch(answer, /Connection: close/);
    }
    // Two in the same bytes are two.
    const twice = Buffer.concat([Buffer.from(put("Content-Length: 1024")), small]);
    await wire.write(Buffer.concat([twice, twice]));
    assert.equal((await wire.answer(2)).match(/200 OK/g)?.length, 2);
    wire.socket.destroy();
  });
});

describe("an archive without a look before it", () => {
  it("arrives the same way, and leaves the connection open", async () => {
    const wire = new Wire();
    for (const body of [chunks(archive), chunks(archive, 1000)]) {
      await wire.write(put(inChunks));
      await wire.write(body);
      const answer = await wire.answer();
      assert.match(answer, /^HTTP\/1\.1 200 OK\r\n/);
      assert.doesNotMatch(answer, /Connection: close/);
      assert.equal(await arrived(), sum);
    }
    wire.socket.destroy();
  });
});
