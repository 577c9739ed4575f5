#include "shim/plan.h"

#include <linux/bpf.h>
#include <linux/filter.h>

#include "shim/fields.h"

namespace gantry::shim {
namespace {

using wire::Field;

bool decode_capabilities(std::string_view bytes, Capabilities& out) {
  return each_field(bytes, [&](const Field& field) {
    switch (field.number) {
      case 1: return take(field, out.bounding);
      case 2: return take(field, out.effective);
      case 3: return take(field, out.permitted);
      case 4: return take(field, out.inheritable);
      case 5: return take(field, out.ambient);
      default: return false;
    }
  });
}

}  // namespace

// One `decode` per message. They are found by argument type from take_message, so they cannot be in a nameless
// namespace.

static bool decode(std::string_view bytes, NamespacePlan& out) {
  return each_field(bytes, [&](const Field& field) {
    switch (field.number) {
      case 1: return take(field, out.clone_flag);
      case 2: return take(field, out.path);
      default: return false;
    }
  });
}

static bool decode(std::string_view bytes, RootfsPlan& out) {
  return each_field(bytes, [&](const Field& field) {
    switch (field.number) {
      case 1: return take(field, out.mountpoint);
      case 2: return take(field, out.lower_dirs);
      case 3: return take(field, out.upper_dir);
      case 4: return take(field, out.work_dir);
      case 5: return take(field, out.bind_source);
      case 6: return take(field, out.readonly);
      case 7: return take(field, out.options);
      default: return false;
    }
  });
}

static bool decode(std::string_view bytes, MountPlan& out) {
  return each_field(bytes, [&](const Field& field) {
    switch (field.number) {
      case 1: return take(field, out.destination);
      case 2: return take(field, out.type);
      case 3: return take(field, out.source);
      case 4: return take(field, out.flags);
      case 5: return take(field, out.clear_flags);
      case 6: return take(field, out.propagation);
      case 7: return take(field, out.data);
      case 8: return take(field, out.recursive_readonly);
      case 9: return take(field, out.is_file);
      case 10: return take(field, out.subpath);
      case 11: return take(field, out.recursive_readonly_if_possible);
      case 12: return take(field, out.tmpcopyup);
      case 13: return take(field, out.recursive_flags);
      case 14: return take(field, out.recursive_clear_flags);
      default: return false;
    }
  });
}

static bool decode(std::string_view bytes, DevicePlan& out) {
  return each_field(bytes, [&](const Field& field) {
    switch (field.number) {
      case 1: return take(field, out.path);
      case 2: return take(field, out.mode);
      case 3: return take(field, out.major);
      case 4: return take(field, out.minor);
      case 5: return take(field, out.uid);
      case 6: return take(field, out.gid);
      default: return false;
    }
  });
}

static bool decode(std::string_view bytes, CgroupWrite& out) {
  return each_field(bytes, [&](const Field& field) {
    switch (field.number) {
      case 1: return take(field, out.file);
      case 2: return take(field, out.value);
      case 3: return take(field, out.optional);
      default: return false;
    }
  });
}

static bool decode(std::string_view bytes, CgroupDir& out) {
  return each_field(bytes, [&](const Field& field) {
    switch (field.number) {
      case 1: return take(field, out.path);
      case 2: return take_message(field, out.writes);
      case 3: return take(field, out.attach);
      case 4: return take(field, out.remove);
      default: return false;
    }
  });
}

static bool decode(std::string_view bytes, CgroupPlan& out) {
  return each_field(bytes, [&](const Field& field) {
    switch (field.number) {
      case 1: return take_message(field, out.dirs);
      case 2: return take(field, out.v2_dir);
      case 3: return take_bytes(field, out.device_program) && out.device_program.size() % sizeof(bpf_insn) == 0;
      case 4: return take(field, out.oom_dir);
      default: return false;
    }
  });
}

static bool decode(std::string_view bytes, RoutePlan& out) {
  return each_field(bytes, [&](const Field& field) {
    switch (field.number) {
      case 1: return take(field, out.destination);
      case 2: return take(field, out.gateway);
      case 3: return take(field, out.metric);
      default: return false;
    }
  });
}

static bool decode(std::string_view bytes, InterfacePlan& out) {
  return each_field(bytes, [&](const Field& field) {
    switch (field.number) {
      case 1: return take(field, out.kind);
      case 2: return take(field, out.host_name);
      case 3: return take(field, out.name);
      case 4: return take(field, out.parent);
      case 5: return take_bytes(field, out.mac) && (out.mac.empty() || out.mac.size() == 6);
      case 6: return take(field, out.addresses);
      case 7: return take(field, out.mtu);
      case 8: return take_message(field, out.routes);
      case 9: return take(field, out.mode);
      case 10: return take(field, out.sysctls);
      case 11: return take(field, out.isolated);
      default: return false;
    }
  });
}

static bool decode(std::string_view bytes, RlimitPlan& out) {
  return each_field(bytes, [&](const Field& field) {
    switch (field.number) {
      case 1: return take(field, out.resource);
      case 2: return take(field, out.soft);
      case 3: return take(field, out.hard);
      default: return false;
    }
  });
}

static bool decode(std::string_view bytes, HookPlan& out) {
  return each_field(bytes, [&](const Field& field) {
    switch (field.number) {
      case 1: return take(field, out.stage);
      case 2: return take(field, out.path);
      case 3: return take(field, out.args);
      case 4: return take(field, out.env);
      case 5: return take(field, out.timeout_seconds);
      default: return false;
    }
  });
}

static bool decode(std::string_view bytes, StdioPlan& out) {
  return each_field(bytes, [&](const Field& field) {
    switch (field.number) {
      case 1: return take(field, out.open_stdin);
      case 2: return take(field, out.stdin_once);
      default: return false;
    }
  });
}

static bool decode(std::string_view bytes, LogPlan& out) {
  return each_field(bytes, [&](const Field& field) {
    switch (field.number) {
      case 1: return take(field, out.driver);
      case 2: return take(field, out.path);
      case 3: return take(field, out.max_size_bytes);
      case 4: return take(field, out.max_files);
      case 5: return take(field, out.compress);
      case 6: return take(field, out.attrs_json);
      default: return false;
    }
  });
}

// An address of IPv4 or IPv6.
static bool take_address(const Field& field, std::string& out) {
  return take_bytes(field, out) && (out.size() == 4 || out.size() == 16);
}

static bool decode(std::string_view bytes, NameMemberPlan& out) {
  return each_field(bytes, [&](const Field& field) {
    switch (field.number) {
      case 1: return take(field, out.id);
      case 2: return take(field, out.names);
      case 3: return take_address(field, out.addresses.emplace_back());
      default: return false;
    }
  });
}

static bool decode(std::string_view bytes, NameLinkPlan& out) {
  return each_field(bytes, [&](const Field& field) {
    switch (field.number) {
      case 1: return take(field, out.alias);
      case 2: return take(field, out.name);
      default: return false;
    }
  });
}

static bool decode(std::string_view bytes, NameNetworkPlan& out) {
  return each_field(bytes, [&](const Field& field) {
    switch (field.number) {
      case 1: return take(field, out.id);
      case 2: return take(field, out.name);
      case 3: return take_message(field, out.links);
      case 4: return take_message(field, out.members);
      default: return false;
    }
  });
}

static bool decode(std::string_view bytes, NameUpstreamPlan& out) {
  return each_field(bytes, [&](const Field& field) {
    switch (field.number) {
      case 1: return take_address(field, out.address);
      case 2: return take(field, out.from_host);
      case 3: return take(field, out.zone);
      default: return false;
    }
  }) && !out.address.empty();
}

bool decode(std::string_view bytes, NameTablePlan& out) {
  return each_field(bytes, [&](const Field& field) {
    switch (field.number) {
      case 1: return take(field, out.version);
      case 2: return take_message(field, out.networks);
      case 3: return take_message(field, out.upstreams);
      case 4: return take(field, out.has_way_out);
      case 5: return take(field, out.keep_single_labels);
      default: return false;
    }
  }) && out.version == kNamesVersion;
}

bool decode(std::string_view bytes, NamesChange& out) {
  return each_field(bytes, [&](const Field& field) {
    switch (field.number) {
      case 1: return take(field, out.version);
      case 2: return take(field, out.network_id);
      case 3: return take_message(field, out.put);
      case 4: return take(field, out.drop);
      default: return false;
    }
  }) && out.version == kNamesVersion;
}

bool decode(std::string_view bytes, StreamTicket& out) {
  const bool taken = each_field(bytes, [&](const Field& field) {
    switch (field.number) {
      case 1: return take_bytes(field, out.ticket);
      case 2: return take(field, out.exec_id);
      case 3: return take(field, out.stdin);
      case 4: return take(field, out.stdout);
      case 5: return take(field, out.stderr);
      case 6: return take(field, out.framed);
      case 7: return take_bytes(field, out.detach_keys);
      case 8: return take(field, out.ttl_ms);
      default: return false;
    }
  });
  return taken && (out.ticket.empty() || out.ticket.size() == kTicketBytes) && out.detach_keys.size() <= kDetachKeysMax;
}

bool decode(std::string_view bytes, ProcessPlan& out) {
  const bool taken = each_field(bytes, [&](const Field& field) {
    switch (field.number) {
      case 1: return take(field, out.args);
      case 2: return take(field, out.env);
      case 3: return take(field, out.cwd);
      case 4: return take(field, out.user);
      case 5: return take(field, out.additional_groups);
      case 6: return field.type == 2 && decode_capabilities(field.bytes, out.capabilities);
      case 7: return take(field, out.no_new_privileges);
      case 8: return take_bytes(field, out.seccomp_program);
      case 9: return take(field, out.seccomp_flags);
      case 10: return take_message(field, out.rlimits);
      case 11: return take(field, out.oom_score_adj);
      case 12: return take(field, out.set_oom_score_adj);
      case 13: return take(field, out.umask);
      case 14: return take(field, out.set_umask);
      case 15: return take(field, out.terminal);
      case 16: return take(field, out.console_height);
      case 17: return take(field, out.console_width);
      case 18: return take(field, out.apparmor_profile);
      case 19: return take(field, out.selinux_label);
      default: return false;
    }
  });
  const size_t program = out.seccomp_program.size();
  return taken && program % sizeof(sock_filter) == 0 && program / sizeof(sock_filter) <= BPF_MAXINSNS;
}

bool decode(std::string_view bytes, LaunchPlan& out) {
  return each_field(bytes, [&](const Field& field) {
    switch (field.number) {
      case 1: return take(field, out.protocol_version);
      case 2: return take(field, out.id);
      case 3: return take_bytes(field, out.nonce);
      case 4: return take(field, out.exit_record_path);
      case 5: return take_message(field, out.namespaces);
      case 6: return take_message(field, out.rootfs);
      case 7: return take_message(field, out.mounts);
      case 8: return take(field, out.masked_paths);
      case 9: return take(field, out.readonly_paths);
      case 10: return take_message(field, out.devices);
      case 11: return take_message(field, out.cgroup);
      case 12: return take_message(field, out.interfaces);
      case 13: return take(field, out.sysctls);
      case 14: return take(field, out.hostname);
      case 15: return take(field, out.domainname);
      case 16: return take_message(field, out.process);
      case 17: return take_message(field, out.stdio);
      case 18: return take_message(field, out.log);
      case 19: return take_message(field, out.tickets);
      case 20: return take(field, out.nats_url_path);
      case 21: return take(field, out.rootfs_propagation);
      case 22: return take(field, out.uid_map);
      case 23: return take(field, out.gid_map);
      case 24: return take_message(field, out.hooks);
      case 25: return take(field, out.hook_state_json);
      case 26: return take(field, out.init_binary_path);
      case 27: return take(field, out.kill_cgroup_on_exit);
      case 28: return out.has_names = true, take_message(field, out.names);
      case 29: return take(field, out.await_begin);
      default: return false;
    }
  });
}

const NamespacePlan* LaunchPlan::namespace_of(uint64_t clone_flag) const {
  for (const auto& plan : namespaces) {
    if (plan.clone_flag == clone_flag) return &plan;
  }
  return nullptr;
}

bool LaunchPlan::makes_namespace(uint64_t clone_flag) const {
  const NamespacePlan* plan = namespace_of(clone_flag);
  return plan != nullptr && plan->path.empty();
}

}  // namespace gantry::shim
