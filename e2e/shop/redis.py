"""The little of Redis' protocol that the shop needs."""
import os
import socket


class Redis:
    def __init__(self):
        self.connection = socket.create_connection((os.environ["DB_HOST"], 6379), timeout=30)
        self.reader = self.connection.makefile("rb")

    def call(self, *words):
        parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        message = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)
        self.connection.sendall(message)
        return self.read()

    def read(self):
        line = self.reader.readline()
        if not line:
            raise ConnectionError("the database has closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise RuntimeError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"+":
            return rest
        size = int(rest)
        if size < 0:
            return None
        if kind == b"*":
            return [self.read() for _ in range(size)]
        body = self.reader.read(size + 2)
        return body[:-2]
