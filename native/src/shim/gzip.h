// Compression of rotated log files.
#pragma once

namespace gantry::shim {

// Writes `source` compressed to `target`, by way of a temporary file beside it. False leaves no `target`.
bool gzip_file(const char* source, const char* target);

}  // namespace gantry::shim
