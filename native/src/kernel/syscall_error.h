// The one exception of the addon's half of the kernel library: which call failed, on what, in which step.
#pragma once

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>

namespace gantry {

// A failed system call. Throwing it is allowed everywhere but between clone and exec.
class SyscallError : public std::runtime_error {
 public:
  SyscallError(int error, std::string syscall, std::string path = {}, std::string step = {})
      : std::runtime_error(describe(error, syscall, path)),
        error_(error),
        syscall_(std::move(syscall)),
        path_(std::move(path)),
        step_(std::move(step)) {}

  // The errno of the call.
  int error() const noexcept { return error_; }
  // Name of the call, `mount`.
  const std::string& syscall() const noexcept { return syscall_; }
  // What it was done to, or empty.
  const std::string& path() const noexcept { return path_; }
  // What the call was part of, or empty.
  const std::string& step() const noexcept { return step_; }

 private:
  static std::string describe(int error, const std::string& syscall, const std::string& path) {
    std::string text = syscall;
    if (!path.empty()) text += " " + path;
    return text + ": " + std::strerror(error);
  }

  int error_;
  std::string syscall_;
  std::string path_;
  std::string step_;
};

// Throws the current errno as a SyscallError.
[[noreturn]] inline void throw_errno(std::string syscall, std::string path = {}, std::string step = {}) {
  throw SyscallError(errno, std::move(syscall), std::move(path), std::move(step));
}

}  // namespace gantry
