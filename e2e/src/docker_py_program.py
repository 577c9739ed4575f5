"""What a user of docker-py does in an afternoon; each step ends the program when it is not as expected."""
import io
import tarfile
import time

import docker

client = docker.from_env()
assert client.ping()
print("server", client.version()["ApiVersion"])

# Run to the end, and what a failure looks like.
assert client.containers.run("busybox", ["echo", "hello from docker-py"], remove=True) == b"hello from docker-py\n"
try:
    client.containers.run("busybox", ["sh", "-c", "echo broken >&2; exit 3"], stderr=True, remove=True)
    raise SystemExit("a failing command did not raise")
except docker.errors.ContainerError as error:
    assert (error.exit_status, error.stderr) == (3, b"broken\n"), error
try:
    client.containers.get("nobody")
    raise SystemExit("an unknown container was found")
except docker.errors.NotFound as error:
    assert "No such container: nobody" in error.explanation, error

# A service in the background: labels, environment, network, volume, exec, files, logs, stats.
network = client.networks.create("py-net", driver="bridge", labels={"from": "docker-py"})
volume = client.volumes.create("py-volume")
box = client.containers.run(
    "busybox",
    ["sh", "-c", "echo started; trap 'exit 7' TERM; while :; do sleep 0.1; done"],
    name="py-box",
    detach=True,
    environment={"COLOUR": "green"},
    labels={"from": "docker-py"},
    network="py-net",
    volumes={"py-volume": {"bind": "/data", "mode": "rw"}},
    mem_limit="64m",
    restart_policy={"Name": "on-failure", "MaximumRetryCount": 1},
)
assert box.status == "created" and box.short_id in box.id
box.reload()
assert box.status == "running"
assert [each.name for each in client.containers.list(filters={"label": "from=docker-py"})] == ["py-box"]
assert box.attrs["HostConfig"]["Memory"] == 64 * 1024 * 1024
assert box.exec_run(["sh", "-c", "echo $COLOUR; exit 5"]) == (5, b"green\n")
out = box.exec_run(["sh", "-c", "echo one; echo two >&2"], demux=True).output
assert out == (b"one\n", b"two\n"), out

archive = io.BytesIO()
with tarfile.open(fileobj=archive, mode="w") as tar:
    info = tarfile.TarInfo("note.txt")
    info.size = 6
    tar.addfile(info, io.BytesIO(b"inside"))
assert box.put_archive("/data", archive.getvalue())
assert box.exec_run(["cat", "/data/note.txt"]).output == b"inside"
chunks, stat = box.get_archive("/data/note.txt")
assert stat["name"] == "note.txt" and stat["size"] == 6
with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
    assert tar.extractfile("note.txt").read() == b"inside"

assert box.stats(stream=False)["memory_stats"]["usage"] > 0
assert box.top()["Titles"][-1] == "CMD"
assert next(box.logs(stream=True, follow=True)) == b"started\n"
box.pause()
box.reload()
assert box.status == "paused"
box.unpause()
box.stop(timeout=20)
assert box.wait()["StatusCode"] == 7
box.remove(v=True)
network.remove()
volume.remove()

# A terminal with input, by a hijacked connection.
tty = client.containers.create("busybox", ["cat"], stdin_open=True, tty=False)
socket = tty.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
tty.start()
socket._sock.sendall(b"typed\n")
read = b""
while len(read) < 8 + len(b"typed\n"):
    read += socket._sock.recv(64)
assert read[8:] == b"typed\n", read
socket.close()
tty.remove(force=True)

# An image of the user's own.
image, _ = client.images.build(
    fileobj=io.BytesIO(b"FROM busybox\nENV MADE=here\nRUN echo built > /made\n"), tag="py/made:1", rm=True
)
assert "py/made:1" in image.tags
assert client.containers.run("py/made:1", ["sh", "-c", "cat /made; echo $MADE"], remove=True) == b"built\nhere\n"
client.images.remove("py/made:1")

actions = {
    event["Action"]
    for event in client.events(since=1, until=int(time.time()) + 1, decode=True)
    if event["Type"] == "container"
}
assert {"create", "start", "die", "destroy"} <= actions, actions
print("all went well")
