// The exit record: what is known of a container's end, on disk before anyone is told.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "shim/messages.h"

namespace gantry::shim {

// {"id":"…","nonce":"<hex>","pid":1,"exitCode":0,"signal":0,"oomKilled":false,"timeNano":"1767225600000000000","seq":2}
struct ExitRecord {
  std::string_view id;
  std::string_view nonce;
  pid_t pid = 0;
  ExitStatus status;
  bool oom_killed = false;
  int64_t time_nano = 0;
  uint64_t seq = 0;
};

// Writes the record to disk: into the file of 512 blanks that was reserved at `path`, else as a temporary file that is
// renamed to it. 0 or negative errno.
int write_exit_record(const std::string& path, const ExitRecord& record);

}  // namespace gantry::shim
