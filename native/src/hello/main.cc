// The program of Gantry's own hello-world image: prints one message and ends.
// Plain write(2), so that the static binary stays small.

#include <unistd.h>

#include <cstddef>

namespace {

constexpr char kMessage[] =
    "Hello from Gantry!\n"
    "\n"
    "This message shows that your installation appears to be working: every part of the\n"
    "engine has just done its job once.\n"
    "\n"
    "What happened on the way here:\n"
    " 1. The docker client sent its requests to the Gantry API gateway over the engine's socket.\n"
    " 2. The container service asked the image service for the \"hello-world\" image, which was\n"
    "    found in the local store, or pulled from its registry and unpacked there.\n"
    " 3. The container service made a container of that image, and its shim process started this\n"
    "    program in namespaces and a control group of its own.\n"
    " 4. The shim process passed what this program printed to the gateway, which streamed it to\n"
    "    the docker client, which wrote it to your terminal.\n"
    "\n"
    "Something with more in it:\n"
    "    docker run -it --rm debian sh\n"
    "\n"
    "Containers keep running while Gantry's services restart or are upgraded: try it.\n"
    "\n";

bool write_all(const char* data, size_t size) {
  while (size > 0) {
    ssize_t n = write(STDOUT_FILENO, data, size);
    if (n <= 0) return false;
    data += n;
    size -= static_cast<size_t>(n);
  }
  return true;
}

}  // namespace

int main() { return write_all(kMessage, sizeof kMessage - 1) ? 0 : 1; }
