// The command line of the unpack program (see native/README.md for the whole contract).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace gantry::unpack {

enum class Mode { kUnpack, kApply, kProbe, kPack, kStat, kUser, kChanges };
enum class Compression { kAuto, kNone, kGzip, kZstd, kBzip2, kXz };

// Descriptors that the caller opened for us.
constexpr int kInputFd = 0;
constexpr int kOutputFd = 1;
constexpr int kRootFd = 3;
constexpr int kReportFd = 4;
// With --mntns: the mount namespace to enter. With --await-lowers: where the caller says that the lower layers are
// complete. With --blocks: the index of blocks for the layer that is packed, then N pairs of an earlier layer's index and
// the layer. Then the N directories of --lowers.
constexpr int kExtraFd = 5;

struct Owner {
  uint32_t uid;
  uint32_t gid;
};

struct Options {
  Mode mode = Mode::kUnpack;
  Compression compression = Compression::kAuto;
  // Limits of what is read; 0 is none. Bytes are those of the uncompressed archive.
  uint64_t max_bytes = 0;
  uint64_t max_entries = 0;
  uint64_t max_ratio = 0;
  // unpack, changes: how many directories of lower layers follow from kExtraFd on, the uppermost first.
  unsigned lowers = 0;
  // unpack: the lower layers are being unpacked, too; wait for a byte before looking at them.
  bool await_lowers = false;
  bool sync = false;
  // apply, pack, stat
  std::string path = "/";
  bool mount_namespace = false;
  bool with_mounts = false;
  // With --mntns: absolute paths whose mounts, and all below them, are left out of the view.
  std::vector<std::string> hidden;
  // apply
  // Descriptor 0 listens for the connection that brings the archive.
  bool accept = false;
  bool no_overwrite_dir_non_dir = false;
  std::optional<Owner> chown;
  // As chown, by Docker's user string, looked up in the root's own /etc/passwd and /etc/group.
  std::optional<std::string> chown_user;
  // user
  std::string user;
  // pack
  std::optional<std::string> name;
  bool follow = true;
  bool overlay_upper = false;
  bool gzip = false;
  bool digest = false;
  // How many earlier layers may have blocks that this one has, too.
  std::optional<unsigned> blocks;
};

// Reads the command line. On a bad one, writes a line to stderr and returns nothing.
std::optional<Options> parse_options(int argc, char** argv);

}  // namespace gantry::unpack
