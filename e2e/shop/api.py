"""The shop's API: takes orders into a queue of the database and tells what became of them."""
import http.server
import os
import signal
import socketserver
import sys

from redis import Redis

with open(os.environ.get("TOKEN_FILE", "/run/secrets/token"), encoding="utf-8") as file:
    TOKEN = file.read().strip()


class Api(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/health":
            pong = Redis().call("PING")
            return self.answer(200 if pong == b"PONG" else 503, pong.decode())
        result = Redis().call("HGET", "results", self.path.rsplit("/", 1)[1])
        return self.answer(404, "") if result is None else self.answer(200, result.decode())

    def do_POST(self):
        order = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Token"] != TOKEN:
            return self.answer(403, "wrong token")
        redis = Redis()
        number = redis.call("INCR", "orders")
        redis.call("RPUSH", "queue", b"%d:%s" % (number, order))
        return self.answer(201, str(number))


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("api listens", flush=True)
Server(("", 9000), Api).serve_forever()
