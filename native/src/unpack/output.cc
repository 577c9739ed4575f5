#include "unpack/output.h"

#include <fcntl.h>
#include <isa-l/igzip_lib.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <functional>

#include "unpack/failure.h"

namespace gantry::unpack {

// ISA-L's level 1: as small as zlib's level 2 or 3, at five times its speed.
class GzipEncoder {
 public:
  GzipEncoder() {
    isal_deflate_init(&stream_);
    stream_.level = 1;
    stream_.level_buf = level_buffer_.get();
    stream_.level_buf_size = ISAL_DEF_LVL1_DEFAULT;
    stream_.gzip_flag = IGZIP_GZIP;
  }

  void encode(std::span<const uint8_t> bytes, bool last, const std::function<void(std::span<const uint8_t>)>& send) {
    stream_.next_in = const_cast<uint8_t*>(bytes.data());
    stream_.avail_in = static_cast<uint32_t>(bytes.size());
    stream_.end_of_stream = last;
    do {
      stream_.next_out = out_.get();
      stream_.avail_out = kOutSize;
      int result = isal_deflate(&stream_);
      if (result != COMP_OK) fail("compress", "", "compress gzip: error " + std::to_string(result));
      send({out_.get(), kOutSize - stream_.avail_out});
    } while (stream_.avail_out == 0 || (last && stream_.internal_state.state != ZSTATE_END));
  }

 private:
  static constexpr size_t kOutSize = 256 << 10;
  isal_zstream stream_;
  std::unique_ptr<uint8_t[]> level_buffer_ = std::make_unique_for_overwrite<uint8_t[]>(ISAL_DEF_LVL1_DEFAULT);
  std::unique_ptr<uint8_t[]> out_ = std::make_unique_for_overwrite<uint8_t[]>(kOutSize);
};

Output::Output(int fd, bool hash, bool gzip) : fd_(fd), hash_(hash) {
  if (gzip) gzip_ = std::make_unique<GzipEncoder>();
  (void)fcntl(fd, F_SETPIPE_SZ, 1 << 20);
}

Output::~Output() = default;

std::span<uint8_t> Output::space() {
  if (used_ == kBufferSize) flush(false);
  return {buffer_.get() + used_, kBufferSize - used_};
}

void Output::commit(size_t size) { used_ += size; }

void Output::write(std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    std::span<uint8_t> to = space();
    size_t size = std::min(to.size(), bytes.size());
    memcpy(to.data(), bytes.data(), size);
    commit(size);
    bytes = bytes.subspan(size);
  }
}

void Output::write_zeros(uint64_t count) {
  while (count > 0) {
    std::span<uint8_t> to = space();
    size_t size = static_cast<size_t>(std::min<uint64_t>(to.size(), count));
    memset(to.data(), 0, size);
    commit(size);
    count -= size;
  }
}

void Output::flush(bool last) {
  std::span<const uint8_t> bytes(buffer_.get(), used_);
  uncompressed_bytes_ += bytes.size();
  if (hash_) plain_sha_.update(bytes);
  if (gzip_) gzip_->encode(bytes, last, [this](std::span<const uint8_t> piece) { send(piece); });
  else send(bytes);
  used_ = 0;
}

void Output::send(std::span<const uint8_t> bytes) {
  compressed_bytes_ += bytes.size();
  if (hash_ && gzip_) sent_sha_.update(bytes);
  while (!bytes.empty()) {
    ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {
      pollfd ready{fd_, POLLOUT, 0};
      (void)poll(&ready, 1, -1);
      continue;
    }
    if (n < 0) fail_errno("send", "");
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
}

void Output::finish() { flush(true); }

std::string Output::diff_id() {
  if (hash_ && diff_id_.empty()) diff_id_ = plain_sha_.finish();
  return diff_id_;
}

std::string Output::digest() {
  if (!hash_) return std::string();
  return gzip_ ? sent_sha_.finish() : diff_id();
}

}  // namespace gantry::unpack
