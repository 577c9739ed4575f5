// The exit record: what is known of a container's end, on disk before anyone is told.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "kernel/unique_fd.h"
#include "shim/messages.h"

namespace gantry::shim {

// Who was started. In JSON: "id":"…","nonce":"<hex>","pid":1,"pidStartTicks":"1","startedNano":"1767225600000000000"
struct RunIdentity {
  std::string_view id;
  std::string_view nonce;
  pid_t pid = 0;
  uint64_t start_ticks = 0;
  int64_t started_nano = 0;
};

// {…,"exitCode":0,"signal":0,"oomKilled":false,"timeNano":"1767225600000000000","seq":2}
struct ExitRecord {
  RunIdentity run;
  ExitStatus status;
  bool oom_killed = false;
  int64_t time_nano = 0;
  uint64_t seq = 0;
};

// Writes the record to disk: into the file of 512 blanks that was reserved at `path`, else as a temporary file that is
// renamed to it. 0 or negative errno.
int write_exit_record(const std::string& path, const ExitRecord& record);

// The reserved file until then: it says that the program has begun, from right before it does, so that a run is known of
// whatever is killed. It outlives processes, not a power cut: nothing of it is synced. Without a reserved file, as
// without room in it, nothing is recorded.
class StartRecord {
 public:
  void open(const std::string& path);

  // Names the process, with zeros for the time, before the process may go on.
  void write(const RunIdentity& run);

  // After a start that failed, when the process is gone.
  void blank();

  // For write_start_time in the process; -1 without a record.
  int fd() const { return file_.get(); }

 private:
  UniqueFd file_;
};

// In the process that becomes the program next: fills in the time. Nothing depends on its success.
void write_start_time(int fd);

}  // namespace gantry::shim
