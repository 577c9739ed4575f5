#include "shim/gzip.h"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <cstdio>
#include <string>

#include "kernel/unique_fd.h"

namespace gantry::shim {
namespace {

constexpr unsigned kChunkBytes = 32 * 1024;

bool copy_compressed(int from, gzFile to) {
  std::string chunk(kChunkBytes, '\0');
  for (;;) {
    const ssize_t length = read(from, chunk.data(), chunk.size());
    if (length < 0) return false;
    if (length == 0) return true;
    if (gzwrite(to, chunk.data(), static_cast<unsigned>(length)) != length) return false;
  }
}

}  // namespace

bool gzip_file(const char* source, const char* target) {
  const UniqueFd in(open(source, O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  const std::string temporary = std::string(target) + ".tmp";
  UniqueFd out(open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640));
  if (!in || !out) return false;
  const gzFile file = gzdopen(out.get(), "wb");
  if (file == nullptr) return false;
  // gzclose closes it.
  (void)out.release();
  bool done = copy_compressed(in.get(), file);
  done = gzclose(file) == Z_OK && done;
  if (done && rename(temporary.c_str(), target) == 0) return true;
  unlink(temporary.c_str());
  return false;
}

}  // namespace gantry::shim
