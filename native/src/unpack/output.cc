#include "unpack/output.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "unpack/failure.h"

namespace gantry::unpack {
namespace {

constexpr uint64_t kWriteback = 16 << 20;

}  // namespace

Output::Output(int fd, bool hash, bool gzip, BlockIndex* index) : fd_(fd), hash_(hash), index_(index) {
  if (gzip) {
    gzip_ = new GzipBlocks([this](std::span<const uint8_t> bytes) { count(bytes); },
                           [this](std::span<const uint8_t> bytes) { send(bytes); }, index);
  }
  if (!gzip) buffer_ = std::make_unique_for_overwrite<uint8_t[]>(kBufferSize);
  (void)fcntl(fd, F_SETPIPE_SZ, 1 << 20);
  struct stat st;
  is_file_ = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

std::span<uint8_t> Output::space() {
  if (gzip_) return gzip_->space();
  if (used_ == kBufferSize) flush();
  return {buffer_.get() + used_, kBufferSize - used_};
}

void Output::commit(size_t size) {
  if (gzip_) gzip_->commit(size);
  else used_ += size;
}

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

void Output::count(std::span<const uint8_t> bytes) {
  uncompressed_bytes_ += bytes.size();
  if (hash_) plain_sha_.update(bytes);
}

void Output::flush() {
  std::span<const uint8_t> bytes(buffer_.get(), used_);
  count(bytes);
  send(bytes);
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
  if (is_file_ && compressed_bytes_ - writeback_ >= kWriteback) begin_writeback();
}

void Output::begin_writeback() {
  // Only the flush that comes later tells of a disk that fails.
  (void)sync_file_range(fd_, static_cast<off_t>(writeback_), static_cast<off_t>(compressed_bytes_ - writeback_),
                        SYNC_FILE_RANGE_WRITE);
  writeback_ = compressed_bytes_;
}

void Output::may_cut(size_t least) {
  if (gzip_) gzip_->cut(least);
}

void Output::finish() {
  if (gzip_) gzip_->finish();
  else flush();
  if (index_) index_->write();
}

std::string Output::diff_id() {
  if (hash_ && diff_id_.empty()) diff_id_ = plain_sha_.finish();
  return diff_id_;
}

std::string Output::digest() {
  if (!hash_) return std::string();
  return gzip_ ? sent_sha_.finish() : diff_id();
}

}  // namespace gantry::unpack
