// The one JSON line that tells the caller how it went.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "unpack/failure.h"

namespace gantry::unpack {

// Builds one flat JSON object. Bytes that are no UTF-8 become U+FFFD.
class JsonLine {
 public:
  JsonLine& text(std::string_view key, std::string_view value);
  JsonLine& number(std::string_view key, int64_t value);
  JsonLine& flag(std::string_view key, bool value);
  // `value` must be JSON already.
  JsonLine& raw(std::string_view key, std::string_view value);
  // The object and a newline.
  std::string finish() const { return "{" + body_ + "}\n"; }

 private:
  void key(std::string_view key);
  std::string body_;
};

std::string json_string(std::string_view text);

// Writes all of the line to the report descriptor. False when nobody reads it.
bool write_report(const std::string& line);
std::string failure_line(const Failure& failure);

}  // namespace gantry::unpack
