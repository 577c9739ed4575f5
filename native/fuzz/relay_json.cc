// Any text is a flat JSON object or is not; what quote_json() writes is read back as it was.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "relay/flat_json.h"

using namespace gantry::relay;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)parse_flat_json(text);
  auto object = parse_flat_json("{\"k\":" + quote_json(text) + "}");
  if (!object || object->at("k").text != text) abort();
  return 0;
}
