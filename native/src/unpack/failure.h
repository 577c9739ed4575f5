// The one error of the unpack program: what was being done, to what, and why it did not work.
#pragma once

#include <cerrno>
#include <string>
#include <string_view>

namespace gantry::unpack {

// Thrown by every part; caught once, in main.cc, and written to the report as JSON.
struct Failure {
  std::string step;     // sandbox, read, decompress, tar, limit, path, create, write, ...
  int error;            // errno, or 0 when no system call failed
  std::string path;     // as in the archive, or relative to the root; empty when there is none
  std::string message;  // lower case, no full stop
};

// Throws a Failure of the system call that has just failed.
[[noreturn]] void fail_errno(std::string_view step, std::string_view path);
[[noreturn]] void fail_errno(std::string_view step, std::string_view path, int error);
// Throws a Failure that no system call caused.
[[noreturn]] void fail(std::string_view step, std::string_view path, std::string message);

}  // namespace gantry::unpack
