#include "kernel/failure.h"

#include <cctype>
#include <cstdio>
#include <cstring>

namespace gantry {
namespace {

template <size_t N>
void assign(char (&target)[N], std::string_view text) {
  const size_t length = text.size() < N - 1 ? text.size() : N - 1;
  std::memcpy(target, text.data(), length);
  target[length] = '\0';
}

bool contains(const char* text, const char* part) { return std::strstr(text, part) != nullptr; }

}  // namespace

const char* error_text(int error) {
  static char text[96];
  const char* known = strerrordesc_np(error);
  if (known == nullptr) {
    std::snprintf(text, sizeof(text), "errno %d", error);
    return text;
  }
  assign(text, known);
  text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  return text;
}

bool Failure::set(const char* step_name, int error_number, std::string_view what) {
  if (what.empty()) return say(step_name, error_number, "%s: %s", step_name, error_text(error_number));
  say(step_name, error_number, "%s %.*s: %s", step_name, static_cast<int>(what.size()), what.data(),
      error_text(error_number));
  return about(what);
}

bool Failure::say(const char* step_name, int error_number, const char* format, ...) {
  assign(step, step_name);
  error = error_number;
  subject[0] = '\0';
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(message, sizeof(message), format, arguments);
  va_end(arguments);
  return false;
}

bool Failure::about(std::string_view what) {
  assign(subject, what);
  return false;
}

int Failure::exit_code() const {
  if (contains(message, "permission denied") || contains(message, "is a directory")) return 126;
  if (contains(message, "executable file not found") || contains(message, "no such file or directory") ||
      contains(message, "not a directory")) {
    return 127;
  }
  return 128;
}

}  // namespace gantry
