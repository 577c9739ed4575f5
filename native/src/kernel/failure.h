// What went wrong in code that may neither allocate nor throw: the half of the kernel library that runs between clone
// and exec. (The addon's half throws SyscallError instead.)
#pragma once

#include <cstdarg>
#include <string_view>
#include <type_traits>

namespace gantry {

// A failed step. Plain data of fixed size, so that a child can send it to its parent as it is.
struct Failure {
  // Name of the step, `mount`, `pivot_root`, `exec`.
  char step[24];
  // What the step worked on.
  char subject[256];
  // Text for people. In runc's words where Docker's clients see it.
  char message[512];
  // errno, or 0.
  int error;

  // Records a failed step with the text "<step> <subject>: <error>". Always returns false, so that it can be returned.
  bool set(const char* step, int error, std::string_view subject = {});

  // As `set`, with a text of its own.
  [[gnu::format(printf, 4, 5)]] bool say(const char* step, int error, const char* format, ...);

  // Names what the step worked on; used after `say`.
  bool about(std::string_view subject);

  // Docker's exit code for a container that could not start because of this: it reads the text.
  int exit_code() const;
};

static_assert(std::is_trivially_copyable_v<Failure>);

// The text of an errno as Go's programs print it: strerror(3) with a small first letter. Valid until the next call.
const char* error_text(int error);

}  // namespace gantry
