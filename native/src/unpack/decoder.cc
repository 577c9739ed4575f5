#include "unpack/decoder.h"

#include <bzlib.h>
#include <isa-l/igzip_lib.h>
#include <lzma.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>

#include "unpack/failure.h"

namespace gantry::unpack {
namespace {

// Memory that a stream may ask its decoder to use: enough for every preset of xz and for zstd's levels to 22
// without --long.
constexpr uint64_t kMaxDecoderMemory = 160 << 20;
constexpr int kMaxZstdWindowLog = 27;

[[noreturn]] void bad(const char* format, const char* what) {
  fail("decompress", "", std::string("decompress ") + format + ": " + what);
}

class PlainDecoder final : public Decoder {
 public:
  explicit PlainDecoder(Input& input) : input_(input) {}
  size_t read(std::span<uint8_t> out) override { return input_.read_into(out); }

 private:
  Input& input_;
};

class GzipDecoder final : public Decoder {
 public:
  explicit GzipDecoder(Input& input) : input_(input), state_(std::make_unique_for_overwrite<inflate_state>()) { start_member(); }

  size_t read(std::span<uint8_t> out) override {
    filled_ = 0;
    while (filled_ < out.size() && !ended_) {
      if (state_->block_state == ISAL_BLOCK_FINISH && !next_member()) break;
      inflate(out.subspan(filled_));
    }
    return filled_;
  }

 private:
  void start_member() {
    isal_inflate_init(state_.get());
    state_->crc_flag = ISAL_GZIP;
  }

  // After a member either another one begins or the stream ends; anything else is an error, as it is in Go.
  bool next_member() {
    std::span<const uint8_t> next = input_.peek_at_least(2);
    if (next.empty()) {
      ended_ = true;
      return false;
    }
    if (next.size() < 2 || next[0] != 0x1f || next[1] != 0x8b) bad("gzip", "data after the last member");
    start_member();
    return true;
  }

  void inflate(std::span<uint8_t> out) {
    std::span<const uint8_t> in = input_.peek();
    state_->next_in = const_cast<uint8_t*>(in.data());
    state_->avail_in = static_cast<uint32_t>(in.size());
    state_->next_out = out.data();
    state_->avail_out = static_cast<uint32_t>(std::min<size_t>(out.size(), 1 << 30));
    uint32_t asked = state_->avail_out;
    int result = isal_inflate(state_.get());
    size_t produced = asked - state_->avail_out;
    filled_ += produced;
    if (result < 0) bad("gzip", describe(result));
    input_.consume(in.size() - state_->avail_in);
    if (in.empty() && produced == 0 && state_->block_state != ISAL_BLOCK_FINISH) bad("gzip", "unexpected end");
  }

  static const char* describe(int result) {
    switch (result) {
      case ISAL_INVALID_BLOCK: return "invalid block";
      case ISAL_INVALID_SYMBOL: return "invalid symbol";
      case ISAL_INVALID_LOOKBACK: return "invalid distance";
      case ISAL_INVALID_WRAPPER: return "invalid header";
      case ISAL_UNSUPPORTED_METHOD: return "unsupported method";
      case ISAL_INCORRECT_CHECKSUM: return "checksum mismatch";
      default: return "invalid data";
    }
  }

  Input& input_;
  std::unique_ptr<inflate_state> state_;
  bool ended_ = false;
};

class ZstdDecoder final : public Decoder {
 public:
  explicit ZstdDecoder(Input& input) : input_(input), stream_(ZSTD_createDStream(), ZSTD_freeDStream) {
    if (!stream_) bad("zstd", "out of memory");
    ZSTD_DCtx_setParameter(stream_.get(), ZSTD_d_windowLogMax, kMaxZstdWindowLog);
  }

  size_t read(std::span<uint8_t> out) override {
    ZSTD_outBuffer to{out.data(), out.size(), 0};
    filled_ = 0;
    while (to.pos < to.size) {
      std::span<const uint8_t> in = input_.peek();
      // At the end of the input the decoder may still hold output: ask it until it gives no more.
      ZSTD_inBuffer from{in.data(), in.size(), 0};
      size_t before = to.pos;
      if (in.empty() && frame_done_) break;
      size_t hint = ZSTD_decompressStream(stream_.get(), &to, &from);
      filled_ = to.pos;
      if (ZSTD_isError(hint)) bad("zstd", ZSTD_getErrorName(hint));
      input_.consume(from.pos);
      frame_done_ = hint == 0;
      if (in.empty() && to.pos == before && !frame_done_) bad("zstd", "unexpected end");
    }
    return to.pos;
  }

 private:
  Input& input_;
  std::unique_ptr<ZSTD_DStream, decltype(&ZSTD_freeDStream)> stream_;
  bool frame_done_ = false;
};

class Bzip2Decoder final : public Decoder {
 public:
  explicit Bzip2Decoder(Input& input) : input_(input) { start_stream(); }
  ~Bzip2Decoder() override { end_stream(); }

  size_t read(std::span<uint8_t> out) override {
    filled_ = 0;
    while (filled_ < out.size()) {
      std::span<const uint8_t> in = input_.peek();
      if (in.empty() && stream_done_) break;
      if (stream_done_) start_stream();
      filled_ += decompress(in, out.subspan(filled_));
    }
    return filled_;
  }

 private:
  void start_stream() {
    end_stream();
    stream_ = {};
    if (BZ2_bzDecompressInit(&stream_, 0, 0) != BZ_OK) bad("bzip2", "out of memory");
    open_ = true;
    stream_done_ = false;
  }

  void end_stream() {
    if (open_) BZ2_bzDecompressEnd(&stream_);
    open_ = false;
  }

  size_t decompress(std::span<const uint8_t> in, std::span<uint8_t> out) {
    stream_.next_in = reinterpret_cast<char*>(const_cast<uint8_t*>(in.data()));
    stream_.avail_in = static_cast<unsigned>(in.size());
    stream_.next_out = reinterpret_cast<char*>(out.data());
    stream_.avail_out = static_cast<unsigned>(std::min<size_t>(out.size(), 1 << 30));
    unsigned asked = stream_.avail_out;
    int result = BZ2_bzDecompress(&stream_);
    if (result != BZ_OK && result != BZ_STREAM_END) bad("bzip2", "invalid data");
    size_t produced = asked - stream_.avail_out;
    input_.consume(in.size() - stream_.avail_in);
    stream_done_ = result == BZ_STREAM_END;
    if (in.empty() && produced == 0 && !stream_done_) bad("bzip2", "unexpected end");
    return produced;
  }

  Input& input_;
  bz_stream stream_{};
  bool open_ = false;
  bool stream_done_ = false;
};

class XzDecoder final : public Decoder {
 public:
  explicit XzDecoder(Input& input) : input_(input) {
    if (lzma_stream_decoder(&stream_, kMaxDecoderMemory, LZMA_CONCATENATED) != LZMA_OK) bad("xz", "out of memory");
  }
  ~XzDecoder() override { lzma_end(&stream_); }

  size_t read(std::span<uint8_t> out) override {
    stream_.next_out = out.data();
    stream_.avail_out = out.size();
    filled_ = 0;
    while (stream_.avail_out > 0 && !ended_) {
      std::span<const uint8_t> in = input_.peek();
      stream_.next_in = in.data();
      stream_.avail_in = in.size();
      lzma_ret result = lzma_code(&stream_, in.empty() ? LZMA_FINISH : LZMA_RUN);
      input_.consume(in.size() - stream_.avail_in);
      filled_ = out.size() - stream_.avail_out;
      ended_ = result == LZMA_STREAM_END;
      if (result != LZMA_OK && !ended_) bad("xz", describe(result));
    }
    return filled_;
  }

 private:
  static const char* describe(lzma_ret result) {
    switch (result) {
      case LZMA_MEMLIMIT_ERROR: return "needs too much memory";
      case LZMA_BUF_ERROR: return "unexpected end";
      case LZMA_MEM_ERROR: return "out of memory";
      default: return "invalid data";
    }
  }

  Input& input_;
  lzma_stream stream_ = LZMA_STREAM_INIT;
  bool ended_ = false;
};

bool starts_with(std::span<const uint8_t> data, std::initializer_list<uint8_t> magic) {
  return data.size() >= magic.size() && std::equal(magic.begin(), magic.end(), data.begin());
}

}  // namespace

Compression detect_compression(std::span<const uint8_t> start) {
  if (starts_with(start, {0x1f, 0x8b, 0x08})) return Compression::kGzip;
  if (starts_with(start, {0x28, 0xb5, 0x2f, 0xfd})) return Compression::kZstd;
  // A zstd stream may begin with a skippable frame: 0x184D2A50 to 0x184D2A5F, little-endian (RFC 8878, 3.1.2).
  if (start.size() >= 4 && (start[0] & 0xf0) == 0x50 && starts_with(start.subspan(1), {0x2a, 0x4d, 0x18}))
    return Compression::kZstd;
  if (starts_with(start, {'B', 'Z', 'h'})) return Compression::kBzip2;
  if (starts_with(start, {0xfd, '7', 'z', 'X', 'Z', 0})) return Compression::kXz;
  return Compression::kNone;
}

std::unique_ptr<Decoder> open_decoder(Compression& compression, Input& input) {
  if (compression == Compression::kAuto) compression = detect_compression(input.peek_at_least(6));
  switch (compression) {
    case Compression::kGzip: return std::make_unique<GzipDecoder>(input);
    case Compression::kZstd: return std::make_unique<ZstdDecoder>(input);
    case Compression::kBzip2: return std::make_unique<Bzip2Decoder>(input);
    case Compression::kXz: return std::make_unique<XzDecoder>(input);
    default: return std::make_unique<PlainDecoder>(input);
  }
}

const char* compression_name(Compression compression) {
  switch (compression) {
    case Compression::kGzip: return "gzip";
    case Compression::kZstd: return "zstd";
    case Compression::kBzip2: return "bzip2";
    case Compression::kXz: return "xz";
    default: return "none";
  }
}

}  // namespace gantry::unpack
