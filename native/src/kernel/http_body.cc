#include "kernel/http_body.h"

#include <algorithm>

namespace gantry {
namespace {

constexpr unsigned kMaxDigits = 15;      // so that a size fits, whatever its digits
constexpr unsigned kMaxLine = 16 << 10;  // of a chunk's extensions, or of all trailers

int hex_value(uint8_t byte) {
  if (byte >= '0' && byte <= '9') return byte - '0';
  const uint8_t lower = byte | 0x20;
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

}  // namespace

HttpBody::HttpBody(std::optional<uint64_t> length)
    : step_(length ? Step::kData : Step::kSize), chunked_(!length), left_(length.value_or(0)) {
  if (length && *length == 0) state_ = State::kWhole;
}

std::span<const uint8_t> HttpBody::next(std::span<const uint8_t> input, size_t& used) {
  used = 0;
  while (state_ == State::kMore && used < input.size()) {
    if (step_ != Step::kData) {
      framing(input[used++]);
      continue;
    }
    const size_t size = static_cast<size_t>(std::min<uint64_t>(left_, input.size() - used));
    const std::span<const uint8_t> piece = input.subspan(used, size);
    used += size;
    left_ -= size;
    if (left_ == 0 && chunked_) step_ = Step::kDataEnd;
    else if (left_ == 0) state_ = State::kWhole;
    return piece;
  }
  return {};
}

// Lines end in CR LF and nothing else: what a lenient reader takes for an end, another one may not.
void HttpBody::framing(uint8_t byte) {
  const auto expect = [&](uint8_t wanted, Step then) {
    if (byte == wanted) step_ = then;
    else state_ = State::kMalformed;
  };
  switch (step_) {
    case Step::kSize: return size_digit(byte);
    case Step::kExtension:
      if (byte == '\r') step_ = Step::kSizeEnd;
      else if (byte == '\n' || byte == 0) state_ = State::kMalformed;
      else count_line();
      return;
    case Step::kSizeEnd:
      expect('\n', left_ == 0 ? Step::kTrailer : Step::kData);
      digits_ = line_ = 0;
      return;
    case Step::kDataEnd: return expect('\r', Step::kDataEndFeed);
    case Step::kDataEndFeed: return expect('\n', Step::kSize);
    case Step::kTrailer:
    case Step::kTrailerLine:
      if (byte == '\r') {
        step_ = step_ == Step::kTrailer ? Step::kLastEnd : Step::kTrailerEnd;
      } else if (byte == '\n' || byte == 0) {
        state_ = State::kMalformed;
      } else {
        step_ = Step::kTrailerLine;
        count_line();
      }
      return;
    case Step::kTrailerEnd: return expect('\n', Step::kTrailer);
    case Step::kLastEnd:
      state_ = byte == '\n' ? State::kWhole : State::kMalformed;
      return;
    case Step::kData: return;
  }
}

void HttpBody::size_digit(uint8_t byte) {
  const int value = hex_value(byte);
  if (value >= 0 && digits_ < kMaxDigits) {
    left_ = left_ << 4 | static_cast<uint64_t>(value);
    digits_++;
  } else if (digits_ == 0) {
    state_ = State::kMalformed;
  } else if (byte == '\r') {
    step_ = Step::kSizeEnd;
  } else if (byte == ';' || byte == ' ' || byte == '\t') {
    step_ = Step::kExtension;
  } else {
    state_ = State::kMalformed;
  }
}

void HttpBody::count_line() {
  if (++line_ > kMaxLine) state_ = State::kMalformed;
}

}  // namespace gantry
