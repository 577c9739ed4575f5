// Texts that a container or its client chooses: log lines, detach keys, NATS URLs, IDs.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "shim/detach_keys.h"
#include "shim/json_text.h"
#include "shim/nats.h"
#include "shim/user.h"

using namespace gantry::shim;

namespace {

// A JSON string holds no bare control character, quote or byte that is not UTF-8, whatever it was made from.
void check_json(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  if (out.size() < 2 || out.front() != '"' || out.back() != '"') abort();
  for (size_t at = 1; at + 1 < out.size(); ++at) {
    const auto byte = static_cast<unsigned char>(out[at]);
    if (byte < 0x20 || byte == '"' || byte == '<') abort();
    if (byte == '\\' && ++at + 1 >= out.size()) abort();
  }
}

// Without the whole sequence nothing is swallowed but what is still held back, in whatever pieces the input comes.
void check_keys(std::string_view text) {
  if (text.empty()) return;
  const size_t length = 1 + static_cast<unsigned char>(text[0]) % 4;
  const std::string keys(text.substr(0, length));
  const std::string_view input = text.substr(keys.size());
  DetachKeys whole(keys);
  DetachKeys pieces(keys);
  std::string from_whole;
  std::string from_pieces;
  const bool detached = whole.take(input, from_whole);
  bool detached_in_pieces = false;
  for (size_t at = 0; at < input.size() && !detached_in_pieces; ++at) {
    detached_in_pieces = pieces.take(input.substr(at, 1), from_pieces);
  }
  if (detached != detached_in_pieces || from_whole != from_pieces) abort();
  if (detached != (input.find(keys) != std::string_view::npos)) abort();
  if (input.substr(0, from_whole.size()) != from_whole) abort();
  if (!detached && input.size() - from_whole.size() >= keys.size()) abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check_json(text);
  check_keys(text);
  NatsUrl url;
  if (parse_nats_url(text, url) && url.address.empty()) abort();
  uint32_t id = 0;
  bool is_number = false;
  if (parse_id(text.data(), text.size(), id, is_number) && (id > 2147483647 || !is_number)) abort();
  return 0;
}
