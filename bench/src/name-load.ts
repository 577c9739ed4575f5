/**
 * `node name-load.ts NAME COUNT AT_ONCE`: asks 127.0.0.11 for a name's address as often as said, some questions at a
 * time, and prints the milliseconds that it took. Runs in a container's network namespace.
 */
import { createSocket } from "node:dgram";

const [name = "", count = "0", atOnce = "1"] = process.argv.slice(2);
const wanted = Number(count);

const query = Buffer.concat([
  Buffer.from([0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, name.length]),
  Buffer.from(name, "latin1"),
  Buffer.from([0, 0, 1, 0, 1]),
]);

const socket = createSocket("udp4");
let asked = 0;
let answered = 0;
let begun = 0;

function ask(): void {
  if (asked === wanted) return;
  asked += 1;
  const message = Buffer.from(query);
  message.writeUInt16BE(asked & 0xffff);
  socket.send(message);
}

socket.on("message", (answer) => {
  if (answer.readUInt16BE(6) !== 1) throw new Error("an answer without an address");
  answered += 1;
  if (answered < wanted) {
    ask();
    return;
  }
  process.stdout.write(String(performance.now() - begun));
  socket.close();
});
socket.connect(53, "127.0.0.11", () => {
  begun = performance.now();
  for (let i = 0; i < Number(atOnce); i += 1) ask();
});
