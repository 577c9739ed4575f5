// Any bytes must be decompressed or refused, in bounded memory.
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "unpack/decoder.h"
#include "unpack/failure.h"
#include "unpack/input.h"

using namespace gantry::unpack;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const int input_fd = memfd_create("input", MFD_CLOEXEC);
  static const int watched = dup(STDERR_FILENO);
  if (ftruncate(input_fd, 0) != 0 || pwrite(input_fd, data, size, 0) != static_cast<ssize_t>(size) ||
      lseek(input_fd, 0, SEEK_SET) != 0)
    abort();
  constexpr uint64_t kEnough = 4 << 20;
  try {
    Input input(input_fd, watched, false);
    Compression compression = Compression::kAuto;
    std::unique_ptr<Decoder> decoder = open_decoder(compression, input);
    std::vector<uint8_t> out(10'000);
    uint64_t total = 0;
    for (size_t n = out.size(); n == out.size() && total < kEnough; total += n) {
      n = decoder->read(out);
      if (n > out.size()) abort();
    }
  } catch (const Failure& failure) {
    if (failure.step != "decompress" || failure.message.empty()) abort();
  }
  return 0;
}
