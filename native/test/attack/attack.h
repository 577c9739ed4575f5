#pragma once

#include <string>

namespace gantry::unpack {

// Does what stdin says, and returns the report.
std::string run_attack();

}  // namespace gantry::unpack
