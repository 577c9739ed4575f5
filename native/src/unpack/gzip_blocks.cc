#include "unpack/gzip_blocks.h"

#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>
#include <sys/types.h>

#include <algorithm>
#include <thread>

#include "unpack/failure.h"

namespace gantry::unpack {
namespace {

// Incompressible bytes come out as they are, with a few more for each 64 KiB.
constexpr size_t kOutputSize = GzipBlocks::kBlockSize + (64 << 10);

// ISA-L's level 1: as small as zlib's level 2 or 3, at five times its speed.
class Deflater {
 public:
  // Compresses a block without the ones before it; it ends at a whole byte. Returns the size, or -1. Allocates nothing.
  ssize_t run(std::span<const uint8_t> input, bool last, uint8_t* output) {
    isal_deflate_init(&stream_);
    stream_.level = 1;
    stream_.level_buf = level_buffer_.get();
    stream_.level_buf_size = ISAL_DEF_LVL1_DEFAULT;
    stream_.gzip_flag = IGZIP_DEFLATE;
    stream_.flush = last ? NO_FLUSH : FULL_FLUSH;
    stream_.end_of_stream = last;
    stream_.next_in = const_cast<uint8_t*>(input.data());
    stream_.avail_in = static_cast<uint32_t>(input.size());
    stream_.next_out = output;
    stream_.avail_out = kOutputSize;
    // With room left, everything is out.
    if (isal_deflate(&stream_) != COMP_OK || stream_.avail_out == 0) return -1;
    return static_cast<ssize_t>(kOutputSize - stream_.avail_out);
  }

 private:
  isal_zstream stream_;
  std::unique_ptr<uint8_t[]> level_buffer_ = std::make_unique_for_overwrite<uint8_t[]>(ISAL_DEF_LVL1_DEFAULT);
};

// RFC 1952: deflate, no name, no time, of an unknown system.
constexpr uint8_t kHead[] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff};

void put_little_endian(uint8_t* to, uint32_t value) {
  for (int byte = 0; byte < 4; byte++) to[byte] = static_cast<uint8_t>(value >> (8 * byte));
}

}  // namespace

GzipBlocks::GzipBlocks() {
  unsigned threads = std::clamp(std::thread::hardware_concurrency(), 1u, kMaxThreads);
  std::latch started(threads);
  for (unsigned index = 0; index < threads; index++) std::thread([this, &started] { work(started); }).detach();
  started.wait();
}

void GzipBlocks::work(std::latch& started) {
  Deflater deflater;
  started.count_down();
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return taken_ < filled_; });
    Block& block = at(taken_++);
    lock.unlock();
    ssize_t size = deflater.run({block.input.get(), block.size}, block.last, block.output.get());
    lock.lock();
    block.output_size = static_cast<size_t>(size);
    block.state = size < 0 ? State::kBroken : State::kDone;
    changed_.notify_all();
  }
}

std::span<uint8_t> GzipBlocks::space() {
  Block& block = at(filled_);
  if (!block.input) {
    block.input = std::make_unique_for_overwrite<uint8_t[]>(kBlockSize);
    block.output = std::make_unique_for_overwrite<uint8_t[]>(kOutputSize);
  }
  return {block.input.get() + block.size, kBlockSize - block.size};
}

void GzipBlocks::commit(size_t size, const Send& plain, const Send& send) {
  Block& block = at(filled_);
  block.size += size;
  if (block.size < kBlockSize) return;
  hand_over(false, plain);
  if (filled_ - sent_ == kBlocks) send_oldest(send);
}

void GzipBlocks::finish(const Send& plain, const Send& send) {
  (void)space();
  hand_over(true, plain);
  while (sent_ < filled_) send_oldest(send);
  uint8_t end[8];
  put_little_endian(end, crc_);
  put_little_endian(end + 4, static_cast<uint32_t>(bytes_));
  send(end);
}

// The threads have work before the block's bytes are looked at here.
void GzipBlocks::hand_over(bool last, const Send& plain) {
  Block& block = at(filled_);
  block.last = last;
  {
    std::lock_guard lock(mutex_);
    filled_++;
  }
  changed_.notify_all();
  std::span<const uint8_t> bytes(block.input.get(), block.size);
  crc_ = crc32_gzip_refl(crc_, bytes.data(), bytes.size());
  bytes_ += bytes.size();
  plain(bytes);
}

void GzipBlocks::send_oldest(const Send& send) {
  Block& block = at(sent_);
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&block] { return block.state != State::kOpen; });
  }
  if (block.state == State::kBroken) fail("compress", "", "compress gzip: the compressor gave up");
  if (!began_) send(kHead);
  began_ = true;
  send({block.output.get(), block.output_size});
  block.size = 0;
  block.state = State::kOpen;
  sent_++;
}

}  // namespace gantry::unpack
