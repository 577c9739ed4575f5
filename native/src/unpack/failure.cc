#include "unpack/failure.h"

#include <cstring>

namespace gantry::unpack {

void fail_errno(std::string_view step, std::string_view path, int error) {
  std::string message(step);
  if (!path.empty()) message.append(" ").append(path);
  message.append(": ").append(strerrordesc_np(error) ? strerrordesc_np(error) : "unknown error");
  throw Failure{std::string(step), error, std::string(path), std::move(message)};
}

void fail_errno(std::string_view step, std::string_view path) { fail_errno(step, path, errno); }

void fail(std::string_view step, std::string_view path, std::string message) {
  throw Failure{std::string(step), 0, std::string(path), std::move(message)};
}

}  // namespace gantry::unpack
