// Removal of trees that others have filled.
#pragma once

#include <cstddef>
#include <string>

namespace gantry {

// Removes a file, or a directory with all that is in it, but no more than `limit` entries of it. True when nothing is
// left; nothing there is fine. Links are not followed, and a file system that is mounted inside is not entered (EXDEV).
// Neither the depth of the tree nor the number of its entries costs memory or descriptors. Throws SyscallError.
bool remove_tree(const std::string& path, size_t limit);

}  // namespace gantry
