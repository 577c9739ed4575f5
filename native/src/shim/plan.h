// The messages that come to the shim, as plain structures: LaunchPlan and what is in it. Field by field as in
// proto/gantry/shim/v1/process.proto, which says what they mean.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernel/credentials.h"

namespace gantry::shim {

// Version of the protocol that this program speaks.
inline constexpr uint32_t kProtocolVersion = 1;
// Version of the name table's meaning.
inline constexpr uint32_t kNamesVersion = 1;
inline constexpr size_t kTicketBytes = 32;
inline constexpr size_t kDetachKeysMax = 16;

using Sysctls = std::vector<std::pair<std::string, std::string>>;

struct NamespacePlan {
  uint64_t clone_flag = 0;
  std::string path;
};

struct RootfsPlan {
  std::string mountpoint;
  std::vector<std::string> lower_dirs;
  std::string upper_dir;
  std::string work_dir;
  std::string bind_source;
  bool readonly = false;
  std::vector<std::string> options;
};

struct MountPlan {
  std::string destination;
  std::string type;
  std::string source;
  uint64_t flags = 0;
  uint64_t clear_flags = 0;
  uint64_t propagation = 0;
  std::string data;
  bool recursive_readonly = false;
  bool is_file = false;
  std::string subpath;
  bool recursive_readonly_if_possible = false;
  bool tmpcopyup = false;
  uint64_t recursive_flags = 0;
  uint64_t recursive_clear_flags = 0;
};

struct DevicePlan {
  std::string path;
  uint32_t mode = 0;
  uint32_t major = 0;
  uint32_t minor = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
};

struct CgroupWrite {
  std::string file;
  std::string value;
  bool optional = false;
};

struct CgroupDir {
  std::string path;
  std::vector<CgroupWrite> writes;
  bool attach = false;
  bool remove = false;
};

struct CgroupPlan {
  std::vector<CgroupDir> dirs;
  std::string v2_dir;
  std::string device_program;
  std::string oom_dir;
};

struct RoutePlan {
  std::string destination;
  std::string gateway;
  uint32_t metric = 0;
};

struct InterfacePlan {
  std::string kind;
  std::string host_name;
  std::string name;
  std::string parent;
  std::string mac;
  std::vector<std::string> addresses;
  uint32_t mtu = 0;
  std::vector<RoutePlan> routes;
  std::string mode;
  Sysctls sysctls;
  bool isolated = false;
};

struct RlimitPlan {
  uint32_t resource = 0;
  uint64_t soft = 0;
  uint64_t hard = 0;
};

struct ProcessPlan {
  std::vector<std::string> args;
  std::vector<std::string> env;
  std::string cwd;
  std::string user;
  std::vector<std::string> additional_groups;
  Capabilities capabilities;
  bool no_new_privileges = false;
  std::string seccomp_program;
  uint32_t seccomp_flags = 0;
  std::vector<RlimitPlan> rlimits;
  int32_t oom_score_adj = 0;
  bool set_oom_score_adj = false;
  uint32_t umask = 0;
  bool set_umask = false;
  bool terminal = false;
  uint32_t console_height = 0;
  uint32_t console_width = 0;
  std::string apparmor_profile;
  std::string selinux_label;
};

struct HookPlan {
  std::string stage;
  std::string path;
  std::vector<std::string> args;
  std::vector<std::string> env;
  uint32_t timeout_seconds = 0;
};

struct StdioPlan {
  bool open_stdin = false;
  bool stdin_once = false;
};

struct LogPlan {
  std::string driver;
  std::string path;
  uint64_t max_size_bytes = 0;
  uint32_t max_files = 0;
  bool compress = false;
  std::string attrs_json;
};

struct StreamTicket {
  std::string ticket;
  std::string exec_id;
  bool stdin = false;
  bool stdout = false;
  bool stderr = false;
  bool framed = false;
  std::string detach_keys;
  uint32_t ttl_ms = 0;
};

struct NameMemberPlan {
  std::string id;
  std::vector<std::string> names;
  std::vector<std::string> addresses;
};

struct NameLinkPlan {
  std::string alias;
  std::string name;
};

struct NameNetworkPlan {
  std::string id;
  std::string name;
  std::vector<NameLinkPlan> links;
  std::vector<NameMemberPlan> members;
};

struct NameUpstreamPlan {
  std::string address;
  bool from_host = false;
  // Of a link-local address: the link it is on, by its name or number.
  std::string zone;
};

struct NameTablePlan {
  uint32_t version = 0;
  std::vector<NameNetworkPlan> networks;
  std::vector<NameUpstreamPlan> upstreams;
  bool has_way_out = false;
  bool keep_single_labels = false;
};

struct NamesChange {
  uint32_t version = 0;
  std::string network_id;
  std::vector<NameMemberPlan> put;
  std::vector<std::string> drop;
};

struct LaunchPlan {
  uint32_t protocol_version = 0;
  std::string id;
  std::string nonce;
  std::string exit_record_path;
  std::vector<NamespacePlan> namespaces;
  RootfsPlan rootfs;
  std::vector<MountPlan> mounts;
  std::vector<std::string> masked_paths;
  std::vector<std::string> readonly_paths;
  std::vector<DevicePlan> devices;
  CgroupPlan cgroup;
  std::vector<InterfacePlan> interfaces;
  Sysctls sysctls;
  std::string hostname;
  std::string domainname;
  ProcessPlan process;
  StdioPlan stdio;
  LogPlan log;
  std::vector<StreamTicket> tickets;
  std::string nats_url_path;
  uint64_t rootfs_propagation = 0;
  std::string uid_map;
  std::string gid_map;
  std::vector<HookPlan> hooks;
  std::string hook_state_json;
  std::string init_binary_path;
  bool kill_cgroup_on_exit = false;
  bool await_begin = false;
  bool has_names = false;
  NameTablePlan names;

  // The clone flag of a namespace that is made new, or joined, or neither.
  const NamespacePlan* namespace_of(uint64_t clone_flag) const;
  bool makes_namespace(uint64_t clone_flag) const;
};

// Each returns whether the bytes are a message of this type without fields that are not known here, and whether what
// must hold for every plan does (no NUL in texts, sizes of tickets and programs).
bool decode(std::string_view bytes, LaunchPlan& out);
bool decode(std::string_view bytes, ProcessPlan& out);
bool decode(std::string_view bytes, StreamTicket& out);
bool decode(std::string_view bytes, NameTablePlan& out);
bool decode(std::string_view bytes, NamesChange& out);

}  // namespace gantry::shim
