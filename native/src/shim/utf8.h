// UTF-8 of texts that come from anywhere: names in an image, output of a program.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace gantry::shim {

// Length of the multi-byte sequence at the front of a text that is not empty; 1 and `valid` false where there is none
// (overlong forms, surrogates and what is beyond U+10FFFF are none).
size_t utf8_sequence(std::string_view text, bool& valid);

// The text with U+FFFD for each byte that is not part of valid UTF-8.
std::string to_utf8(std::string_view text);

}  // namespace gantry::shim
