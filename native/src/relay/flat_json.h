// JSON objects of one level, as the relay's control protocol has them: text, whole numbers, true, false, null.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace gantry::relay {

// Numbers, true, false and null keep their text.
struct JsonValue {
  std::string text;
  bool is_string = false;
};
using JsonObject = std::map<std::string, JsonValue>;

// Nothing for anything that is not such an object (nested values and fractions are not, nor are duplicate keys).
std::optional<JsonObject> parse_flat_json(std::string_view text);

std::string quote_json(std::string_view text);

}  // namespace gantry::relay
