#include "shim/lookup.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

namespace gantry::shim {
namespace {

// 0 when `path` can be executed, else an errno; `missing` tells whether stat(2) was what failed.
int check_program(const char* path, bool& missing) {
  struct stat info;
  missing = stat(path, &info) != 0;
  if (missing) return errno;
  if (S_ISDIR(info.st_mode)) return EISDIR;
  // faccessat2 (5.8) asks with the effective IDs. A seccomp filter that does not know it may answer ENOSYS or EPERM;
  // then the mode bits have to do.
  if (syscall(SYS_faccessat2, AT_FDCWD, path, X_OK, AT_EACCESS) == 0) return 0;
  if (errno != ENOSYS && errno != EPERM) return errno;
  return (info.st_mode & 0111) != 0 ? 0 : EACCES;
}

bool find_by_path(const char* name, char (&path)[PATH_MAX], Failure& failure) {
  bool missing = false;
  const int error = check_program(name, missing);
  if (error == 0) {
    if (std::snprintf(path, sizeof(path), "%s", name) < static_cast<int>(sizeof(path))) return true;
    return failure.say("exec", ENAMETOOLONG, "exec: \"%s\": %s", name, error_text(ENAMETOOLONG));
  }
  if (missing) return failure.say("exec", error, "exec: \"%s\": stat %s: %s", name, name, error_text(error));
  return failure.say("exec", error, "exec: \"%s\": %s", name, error_text(error));
}

const char* path_variable(char* const* environment) {
  // The last one counts, as for a shell.
  const char* value = "";
  for (; *environment != nullptr; ++environment) {
    if (std::strncmp(*environment, "PATH=", 5) == 0) value = *environment + 5;
  }
  return value;
}

bool find_in_path(const char* name, const char* directories, char (&path)[PATH_MAX], Failure& failure) {
  for (const char* at = directories; *at != '\0' && *name != '\0';) {
    const char* end = strchrnul(at, ':');
    const int length = std::snprintf(path, sizeof(path), "%.*s/%s", static_cast<int>(end - at), at, name);
    bool missing = false;
    // Only absolute directories: what a relative one holds depends on where the process was started.
    if (*at == '/' && length < static_cast<int>(sizeof(path)) && check_program(path, missing) == 0) return true;
    at = *end == '\0' ? end : end + 1;
  }
  return failure.say("exec", ENOENT, "exec: \"%s\": executable file not found in $PATH", name);
}

}  // namespace

bool find_program(const char* name, char* const* environment, char (&path)[PATH_MAX], Failure& failure) {
  const bool found = std::strchr(name, '/') != nullptr
                         ? find_by_path(name, path, failure)
                         : find_in_path(name, path_variable(environment), path, failure);
  return found || failure.about(name);
}

}  // namespace gantry::shim
