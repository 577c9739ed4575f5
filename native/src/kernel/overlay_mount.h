// Overlay mounts on the host (copy-up, and cp on stopped containers).
#pragma once

#include <string>
#include <vector>

namespace gantry {

// An overlay to mount.
struct OverlayMount {
  // Uppermost first; at least one.
  std::vector<std::string> lower_dirs;
  // Both empty for a read-only overlay of at least two lowers.
  std::string upper_dir;
  std::string work_dir;
  // Existing directory.
  std::string target;
  // Further options, `key` or `key=value`.
  std::vector<std::string> options;
};

// Mounts by fsopen(2): names may hold commas and colons, and hundreds of layers fit. Kernels before 6.7 have no
// `lowerdir+`; there the lowers go as one option.
void mount_overlay(const OverlayMount& overlay);

}  // namespace gantry
