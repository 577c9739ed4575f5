#include "shim/wire.h"

#include "shim/utf8.h"

namespace gantry::shim::wire {

bool Reader::stop() {
  ok_ = false;
  rest_ = {};
  return false;
}

bool Reader::varint(uint64_t& value) {
  value = 0;
  for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
    const auto byte = static_cast<uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    // The tenth byte holds one bit only.
    if (shift == 63 && byte > 1) return false;
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

bool Reader::fixed(unsigned size, uint64_t& value) {
  if (rest_.size() < size) return false;
  value = 0;
  for (unsigned i = 0; i < size; ++i) {
    value |= static_cast<uint64_t>(static_cast<uint8_t>(rest_[i])) << (8 * i);
  }
  rest_.remove_prefix(size);
  return true;
}

bool Reader::next(Field& field) {
  if (rest_.empty()) return false;
  uint64_t tag = 0;
  if (!varint(tag) || tag > UINT32_MAX || tag >> 3 == 0) return stop();
  field = {};
  field.number = static_cast<uint32_t>(tag >> 3);
  field.type = static_cast<uint8_t>(tag & 7);
  switch (field.type) {
    case 0: return varint(field.value) || stop();
    case 1: return fixed(8, field.value) || stop();
    case 5: return fixed(4, field.value) || stop();
    case 2: break;
    default: return stop();
  }
  uint64_t length = 0;
  if (!varint(length) || length > rest_.size()) return stop();
  field.bytes = rest_.substr(0, length);
  rest_.remove_prefix(length);
  return true;
}

void Writer::varint(uint64_t value) {
  for (; value >= 0x80; value >>= 7) out_.push_back(static_cast<char>(value | 0x80));
  out_.push_back(static_cast<char>(value));
}

void Writer::number(uint32_t field, uint64_t value) {
  if (value == 0) return;
  varint(static_cast<uint64_t>(field) << 3);
  varint(value);
}

void Writer::text(uint32_t field, std::string_view value) {
  if (!value.empty()) message(field, to_utf8(value));
}

void Writer::bytes(uint32_t field, std::string_view value) {
  if (!value.empty()) message(field, value);
}

void Writer::message(uint32_t field, std::string_view encoded) {
  varint(static_cast<uint64_t>(field) << 3 | 2);
  varint(encoded.size());
  out_.append(encoded);
}

}  // namespace gantry::shim::wire
