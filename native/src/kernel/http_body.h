// Where a request's body lies in the bytes of its connection: RFC 9112, 6.2 (a length) and 7.1 (chunks).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace gantry {

class HttpBody {
 public:
  enum class State { kMore, kWhole, kMalformed };

  // A body of that many bytes; without a length one of chunks.
  explicit HttpBody(std::optional<uint64_t> length);

  // Takes bytes of the connection apart, up to the end of the next piece of the body or of the input. `used` is how many
  // were looked at; the piece, which may be empty, lies in them.
  std::span<const uint8_t> next(std::span<const uint8_t> input, size_t& used);

  State state() const { return state_; }

 private:
  enum class Step { kSize, kExtension, kSizeEnd, kData, kDataEnd, kDataEndFeed, kTrailer, kTrailerLine, kTrailerEnd, kLastEnd };

  void framing(uint8_t byte);
  void size_digit(uint8_t byte);
  void count_line();

  State state_ = State::kMore;
  Step step_;
  bool chunked_;
  uint64_t left_ = 0;    // bytes of this piece of the body still to come
  unsigned digits_ = 0;  // of the size
  unsigned line_ = 0;    // bytes of this line, or of all trailers
};

}  // namespace gantry
