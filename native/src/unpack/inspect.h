// Questions about a tree that need no archive: one path's description, and what changed in an upper directory.
#pragma once

#include <string>

#include "unpack/options.h"
#include "unpack/sandbox.h"

namespace gantry::unpack {

// The report line of mode "stat": the path itself (a link is not followed) and, for a link, the path it leads to.
std::string stat_path(const Sandbox& sandbox, const Options& options);

// The report lines of mode "changes": one object per changed path, and at last the summary.
// The root is an overlay's upper directory, the one lower directory the merged view of all layers below it.
std::string list_changes(const Sandbox& sandbox);

}  // namespace gantry::unpack
