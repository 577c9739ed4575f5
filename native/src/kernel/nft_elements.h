// Elements of nftables maps, put in and taken out in one transaction without a process for it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace gantry {

// Elements of one map of a table of the family inet. Keys and values have the kernel's form: the parts of a
// concatenation one after the other, each padded with zeros to a multiple of 4 bytes.
struct ElementChange {
  std::string map;
  // Take them out; else put them in, which fails when an element of that key has another value.
  bool remove = false;
  // All keys, and all values, one after the other.
  std::span<const uint8_t> keys;
  std::span<const uint8_t> values;
  size_t count = 0;
};

// All changes in order, or none. Throws SyscallError with the kernel's errno.
void change_elements(const std::string& table, const std::vector<ElementChange>& changes);

}  // namespace gantry
