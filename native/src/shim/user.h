// From Docker's user string to IDs, with the container's own /etc/passwd and /etc/group. Nothing here allocates.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kernel/failure.h"

namespace gantry::shim {

// Supplementary groups of one process at most; more are an error, not cut.
inline constexpr size_t kGroupsMax = 1024;

struct User {
  uid_t uid = 0;
  gid_t gid = 0;
  // Home directory of the passwd entry, else "/".
  char home[256] = "/";
  // The primary group first, then those that /etc/group lists the user in, then the additional ones.
  gid_t groups[kGroupsMax] = {};
  size_t group_count = 0;
};

// Resolves `[name|uid][:group|gid]` (empty: root) and further groups by name or number inside `root`. The files are
// read only when they are regular and at most 10 MiB; IDs are decimal numbers from 0 to 2147483647, and a line whose
// ID is anything else, or that is longer than 64 KiB, does not count. A user that is given with a group gets no groups from the file.
bool resolve_user(int root, const char* spec, const std::vector<std::string>& additional_groups, User& user,
                  Failure& failure);

// Parses a decimal ID strictly. Whether it is a number at all is `is_number`, also when out of range.
bool parse_id(const char* text, size_t length, uint32_t& id, bool& is_number);

}  // namespace gantry::shim
