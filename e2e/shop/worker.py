"""The shop's worker: takes orders from the queue, writes them down and stores the result."""
import os
import signal
import socket
import sys

from redis import Redis

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
name = socket.gethostname()
redis = Redis()
print("worker waits", flush=True)
while True:
    job = redis.call("BLPOP", "queue", 5)
    if job is None:
        continue
    number, _, order = job[1].partition(b":")
    with open(os.path.join("/results", number.decode()), "wb") as file:
        file.write(order)
    redis.call("HSET", "results", number, order.upper() + b" by " + name.encode())
    print("done", number.decode(), flush=True)
