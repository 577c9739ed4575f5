// Notices of the kernel about changes of the nftables ruleset.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernel/unique_fd.h"

namespace gantry {

// One committed transaction.
struct RulesetChange {
  // Number of the ruleset after it.
  uint32_t generation;
  // Process that made it, and its name; 0 and empty when the kernel lost count (see `lost`).
  uint32_t process_id;
  std::string process_name;
  // Notices were dropped because we were slow: the ruleset may have changed in any way.
  bool lost;
};

// A non-blocking socket in the nftables multicast group of this network namespace.
UniqueFd open_nft_watch();

// What has arrived since the last call; empty when nothing has.
std::vector<RulesetChange> read_nft_changes(int fd);

}  // namespace gantry
