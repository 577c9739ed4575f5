// What a container's name server answers from its table.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "shim/dns_message.h"
#include "shim/name_table.h"

namespace gantry::shim {

// An answer of at most `max` bytes; false when the table does not know the name, or has no such records, so that others
// have to be asked.
// `turn` says which of several addresses comes first.
bool answer_from_table(const NameTable& table, const dns::Query& query, size_t max, uint32_t turn, std::string& out);

}  // namespace gantry::shim
