// Copying a directory's content, for a tmpfs that begins with what the image has. Allocates nothing.
#pragma once

namespace gantry::shim {

// Copies what is in directory `from` into directory `to`: files, directories, links and nodes with owner, mode and
// times. Does not leave the file system of `from`. 0 or negative errno; -ELOOP beyond 64 levels.
int copy_tree(int from, int to);

}  // namespace gantry::shim
