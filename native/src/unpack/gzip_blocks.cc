#include "unpack/gzip_blocks.h"

#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>
#include <sys/types.h>

#include <algorithm>
#include <optional>
#include <thread>

#include "unpack/failure.h"

namespace gantry::unpack {
namespace {

// Incompressible bytes come out as they are, with a few more for each 64 KiB.
constexpr size_t kOutputSize = GzipBlocks::kBlockSize + (64 << 10);

// RFC 1952: deflate, no name, no time, of an unknown system.
constexpr uint8_t kHead[] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff};

void put_little_endian(uint8_t* to, uint32_t value) {
  for (int byte = 0; byte < 4; byte++) to[byte] = static_cast<uint8_t>(value >> (8 * byte));
}

}  // namespace

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

GzipBlocks::GzipBlocks(Send plain, Send send, BlockIndex* index)
    : plain_(std::move(plain)), send_(std::move(send)), index_(index) {
  unsigned threads = std::clamp(std::thread::hardware_concurrency(), 1u, kMaxThreads);
  std::latch started(threads + 1);
  for (unsigned index = 0; index < threads; index++) std::thread([this, &started] { work(started); }).detach();
  std::thread([this, &started] { send_all(started); }).detach();
  started.wait();
}

void GzipBlocks::work(std::latch& started) {
  Deflater deflater;
  std::optional<BlockTagger> tagger;
  if (index_) tagger.emplace(index_->head());
  started.count_down();
  std::unique_lock lock(mutex_);
  for (;;) {
    to_compress_.wait(lock, [this] { return taken_ < filled_; });
    Block& block = at(taken_++);
    lock.unlock();
    bool done = compress(block, deflater, tagger ? &*tagger : nullptr);
    lock.lock();
    block.state = done ? State::kDone : State::kBroken;
    tell_sender(block);
  }
}

bool GzipBlocks::compress(Block& block, Deflater& deflater, BlockTagger* tagger) {
  std::span<const uint8_t> input(block.input.get(), block.size);
  ssize_t size = -1;
  // The last block ends the stream, so it is nobody else's.
  if (tagger && !block.last) {
    block.tag = tagger->tag(input);
    size = index_->read(block.tag, {block.output.get(), kOutputSize});
  }
  if (size < 0) size = deflater.run(input, block.last, block.output.get());
  if (size < 0) return false;
  block.output_size = static_cast<size_t>(size);
  if (tagger) block.output_crc = crc_of({block.output.get(), block.output_size});
  return true;
}

std::span<uint8_t> GzipBlocks::space() {
  Block& block = at(filled_);
  if (!block.input) {
    block.input = std::make_unique_for_overwrite<uint8_t[]>(kBlockSize);
    block.output = std::make_unique_for_overwrite<uint8_t[]>(kOutputSize);
  }
  return {block.input.get() + block.size, kBlockSize - block.size};
}

void GzipBlocks::commit(size_t size) {
  Block& block = at(filled_);
  block.size += size;
  if (block.size == kBlockSize) hand_over(false);
}

void GzipBlocks::cut(size_t least) {
  if (at(filled_).size >= least) hand_over(false);
}

void GzipBlocks::finish() {
  (void)space();
  hand_over(true);
  std::unique_lock lock(mutex_);
  given_back_.wait(lock, [this] { return ended_; });
  if (wrong_) std::rethrow_exception(wrong_);
  uint8_t end[8];
  put_little_endian(end, crc_);
  put_little_endian(end + 4, static_cast<uint32_t>(bytes_));
  send_(end);
}

// The threads have work before the block's bytes are looked at here.
void GzipBlocks::hand_over(bool last) {
  Block& block = at(filled_);
  std::span<const uint8_t> bytes(block.input.get(), block.size);
  block.last = last;
  {
    std::lock_guard lock(mutex_);
    // Whoever sends it gives it back when it has been looked at.
    block.is_read = false;
    filled_++;
  }
  to_compress_.notify_one();
  crc_ = crc32_gzip_refl(crc_, bytes.data(), bytes.size());
  bytes_ += bytes.size();
  plain_(bytes);
  std::unique_lock lock(mutex_);
  block.is_read = true;
  tell_sender(block);
  given_back_.wait(lock, [this] { return ended_ || filled_ - sent_ < kBlocks; });
  if (wrong_) std::rethrow_exception(wrong_);
}

// Only when the sender waits for this very block: to wake a thread costs as much as to read 100 kB.
void GzipBlocks::tell_sender(const Block& block) {
  if (&block == &at(sent_) && can_be_sent(block)) to_send_.notify_one();
}

void GzipBlocks::send_all(std::latch& started) {
  started.count_down();
  std::unique_lock lock(mutex_);
  for (bool last = false; !last;) {
    Block& block = at(sent_);
    to_send_.wait(lock, [&] { return can_be_sent(block); });
    last = block.last;
    lock.unlock();
    std::exception_ptr wrong;
    try {
      send_block(block);
    } catch (...) {
      wrong = std::current_exception();
    }
    lock.lock();
    block.size = 0;
    block.state = State::kOpen;
    sent_++;
    wrong_ = wrong;
    ended_ = last || wrong;
    given_back_.notify_one();
    if (wrong) return;
  }
}

void GzipBlocks::send_block(Block& block) {
  if (block.state == State::kBroken) fail("compress", "", "compress gzip: the compressor gave up");
  if (length_ == 0) {
    send_(kHead);
    length_ = sizeof kHead;
  }
  send_({block.output.get(), block.output_size});
  if (index_ && !block.last) index_->add(block.tag, length_, static_cast<uint32_t>(block.output_size), block.output_crc);
  length_ += block.output_size;
}

}  // namespace gantry::unpack
