// Reading and writing the protobuf wire format, for the messages of proto/gantry/shim/v1/process.proto only.
//
// The reader never leaves its bytes, allocates nothing and takes anything: whatever is malformed makes `next` stop and
// `ok` false. Unknown fields are the caller's business (the protocol refuses them).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace gantry::shim::wire {

// One field of a message.
struct Field {
  uint32_t number = 0;
  // 0 varint, 1 fixed64, 2 length-delimited, 5 fixed32.
  uint8_t type = 0;
  // Value of types 0, 1 and 5.
  uint64_t value = 0;
  // Bytes of type 2, inside the reader's bytes.
  std::string_view bytes;
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  // The next field; false at the end and when the bytes are malformed.
  bool next(Field& field);

  // Whether everything read so far was well-formed.
  bool ok() const { return ok_; }

 private:
  bool varint(uint64_t& value);
  bool fixed(unsigned size, uint64_t& value);
  bool stop();

  std::string_view rest_;
  bool ok_ = true;
};

// Appends fields to a string. Default values (0, empty, false) are left out, as proto3 does.
class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}

  void number(uint32_t field, uint64_t value);
  void number(uint32_t field, int64_t value) { number(field, static_cast<uint64_t>(value)); }
  void number(uint32_t field, int32_t value) { number(field, static_cast<int64_t>(value)); }
  void number(uint32_t field, uint32_t value) { number(field, static_cast<uint64_t>(value)); }
  void flag(uint32_t field, bool value) { number(field, static_cast<uint64_t>(value)); }

  // A string field: made valid UTF-8, which every reader insists on. Names of files may be anything.
  void text(uint32_t field, std::string_view value);
  void bytes(uint32_t field, std::string_view value);

  // A message field; unlike the others it is written when empty too, for presence means something.
  void message(uint32_t field, std::string_view encoded);

 private:
  void varint(uint64_t value);

  std::string& out_;
};

}  // namespace gantry::shim::wire
