// Looking paths up inside a root, whatever symbolic links lie on the way.
//
// The process has already made the root its own (sandbox.h), so the kernel cannot resolve anything to a place
// outside; the flags used here are the second wall, and refuse magic links (a container's mounted /proc has some).
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernel/unique_fd.h"

namespace gantry::unpack {

// How often a step is begun again that somebody else was in the way of.
constexpr int kRaceRetries = 64;

// Where absolute links and ".." stop.
enum class Scope {
  kBase,         // at the directory that the path is relative to
  kProcessRoot,  // at the root of the process: `base` is somewhere below
};

// openat2(2). -1 and errno on failure.
int open_in_root(int base, const char* path, uint64_t flags, Scope scope);

// Takes "." and empty elements out, and resolves ".." by text alone. The result is relative; "" is the top.
// `escaped`, if given, tells whether the path tried to climb above the top (such steps are dropped).
std::string clean_path(std::string_view path, bool* escaped = nullptr);

// Splits a clean path into what lies above its last element ("" for the top) and that element.
std::pair<std::string_view, std::string_view> split_path(std::string_view path);

// What the symbolic link `name` in the directory says. Throws with step "path".
std::string read_link(int directory, const std::string& name);

// The clean path that `path` leads to, with the links on the way followed (and the last one too, if asked, or if the
// path ends in a slash or "/."). What does not exist is taken by its name. Throws with step "path".
std::string resolve_path(int root, std::string_view path, bool follow_last);

// The names in a directory, but for "." and "..", in no order. Throws with step "list".
std::vector<std::string> list_directory(int directory, std::string_view path);

// Deletes `name` in the directory, with all that is in it; follows no link. Throws with step "remove".
// Returns the bytes on disk that were freed (regular files with one name only).
uint64_t remove_tree(int directory, const std::string& name, std::string_view path);

// Bytes on disk.
inline uint64_t disk_usage(const struct stat& st) { return static_cast<uint64_t>(st.st_blocks) * 512; }

}  // namespace gantry::unpack
