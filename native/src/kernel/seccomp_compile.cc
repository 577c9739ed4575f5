#include "kernel/seccomp_compile.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <set>

#include "kernel/syscall_error.h"
#include "kernel/unique_fd.h"

namespace gantry {
namespace {

struct ReleaseContext {
  void operator()(void* context) const { seccomp_release(context); }
};
using Context = std::unique_ptr<void, ReleaseContext>;

void check(int status, const char* call, const std::string& subject) {
  if (status < 0) throw SyscallError(-status, call, subject, "compile seccomp profile");
}

// Two conditions on one argument cannot be one rule of libseccomp.
bool repeats_an_argument(const std::vector<SeccompCondition>& conditions) {
  std::set<unsigned> seen;
  for (const auto& condition : conditions) {
    if (!seen.insert(condition.index).second) return true;
  }
  return false;
}

scmp_arg_cmp to_native(const SeccompCondition& condition) {
  return {condition.index, static_cast<scmp_compare>(condition.op), condition.value, condition.value_two};
}

void add_call(scmp_filter_ctx context, const SeccompRule& rule, const std::string& name) {
  const int number = seccomp_syscall_resolve_name(name.c_str());
  if (number == __NR_SCMP_ERROR) return;
  std::vector<scmp_arg_cmp> conditions;
  for (const auto& condition : rule.conditions) conditions.push_back(to_native(condition));
  if (!repeats_an_argument(rule.conditions)) {
    check(seccomp_rule_add_array(context, rule.action, number, static_cast<unsigned>(conditions.size()),
                                 conditions.data()),
          "seccomp_rule_add", name);
    return;
  }
  for (const auto& condition : conditions) {
    check(seccomp_rule_add_array(context, rule.action, number, 1, &condition), "seccomp_rule_add", name);
  }
}

std::vector<uint32_t> add_architectures(scmp_filter_ctx context, const SeccompProfile& profile) {
  std::vector<uint32_t> tokens = {seccomp_arch_native()};
  for (const auto& name : profile.architectures) {
    const uint32_t token = seccomp_arch_resolve_name(name.c_str());
    if (token == 0) throw SyscallError(EINVAL, "seccomp_arch_add", name, "compile seccomp profile");
    if (std::find(tokens.begin(), tokens.end(), token) != tokens.end()) continue;
    check(seccomp_arch_add(context, token), "seccomp_arch_add", name);
    tokens.push_back(token);
  }
  return tokens;
}

std::vector<sock_filter> export_program(scmp_filter_ctx context) {
  // seccomp_export_bpf_mem came with libseccomp 2.6; a memory file does for every version.
  const UniqueFd file(memfd_create("gantry-seccomp", MFD_CLOEXEC));
  if (!file) throw_errno("memfd_create", {}, "compile seccomp profile");
  check(seccomp_export_bpf(context, file.get()), "seccomp_export_bpf", {});
  const off_t size = lseek(file.get(), 0, SEEK_END);
  if (size < 0) throw_errno("lseek", {}, "compile seccomp profile");
  std::vector<sock_filter> program(static_cast<size_t>(size) / sizeof(sock_filter));
  if (pread(file.get(), program.data(), static_cast<size_t>(size), 0) != size) {
    throw_errno("pread", {}, "compile seccomp profile");
  }
  return program;
}

constexpr uint32_t kX32Bit = 0x40000000;
constexpr uint32_t kI386Socketcall = 102;
constexpr uint32_t kSocketcallSocket = 1;

sock_filter load(size_t offset) {
  return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset));
}

sock_filter jump(uint16_t comparison, uint32_t value, uint8_t if_true, uint8_t if_false) {
  return {static_cast<uint16_t>(BPF_JMP | comparison | BPF_K), if_true, if_false, value};
}

sock_filter answer(uint32_t action) { return BPF_STMT(BPF_RET | BPF_K, action); }

// The highest number among the profile's system calls on one architecture, or -1.
int highest_call(const SeccompProfile& profile, uint32_t architecture) {
  int highest = -1;
  for (const auto& rule : profile.rules) {
    for (const auto& name : rule.names) {
      // Negative numbers are libseccomp's stand-ins for calls that this architecture has not.
      highest = std::max(highest, seccomp_syscall_resolve_name_arch(architecture, name.c_str()));
    }
  }
  return highest;
}

bool refuses(uint32_t action) {
  const uint32_t kind = action & SECCOMP_RET_ACTION_FULL;
  return kind == SECCOMP_RET_ERRNO || kind == SECCOMP_RET_KILL_PROCESS || kind == SECCOMP_RET_KILL_THREAD ||
         kind == SECCOMP_RET_TRAP;
}

// What is looked at for calls of one architecture before libseccomp's part, with the accumulator holding anything.
std::vector<sock_filter> checks_of(const SeccompProfile& profile, uint32_t architecture) {
  std::vector<sock_filter> checks;
  const int highest = highest_call(profile, architecture);
  if (refuses(profile.default_action) && highest >= 0) {
    checks.push_back(load(offsetof(seccomp_data, nr)));
    // x32 calls carry x86_64's architecture and a bit of their own.
    if (architecture == AUDIT_ARCH_X86_64) checks.push_back(jump(BPF_JGE, kX32Bit, 2, 0));
    checks.push_back(jump(BPF_JGT, static_cast<uint32_t>(highest), 0, 1));
    checks.push_back(answer(SECCOMP_RET_ERRNO | ENOSYS));
  }
  if (profile.refuse_socketcall_socket && architecture == AUDIT_ARCH_I386) {
    checks.push_back(load(offsetof(seccomp_data, nr)));
    checks.push_back(jump(BPF_JEQ, kI386Socketcall, 0, 3));
    checks.push_back(load(offsetof(seccomp_data, args)));
    checks.push_back(jump(BPF_JEQ, kSocketcallSocket, 0, 1));
    checks.push_back(answer(profile.default_action));
  }
  return checks;
}

std::vector<sock_filter> prefix_of(const SeccompProfile& profile, const std::vector<uint32_t>& architectures) {
  std::vector<sock_filter> prefix;
  for (const uint32_t architecture : architectures) {
    // libseccomp has a token of its own for x32; the kernel says x86_64.
    if (architecture == SCMP_ARCH_X32) continue;
    const std::vector<sock_filter> checks = checks_of(profile, architecture);
    if (checks.empty()) continue;
    prefix.push_back(load(offsetof(seccomp_data, arch)));
    prefix.push_back(jump(BPF_JEQ, architecture, 0, static_cast<uint8_t>(checks.size())));
    prefix.insert(prefix.end(), checks.begin(), checks.end());
  }
  return prefix;
}

}  // namespace

std::vector<sock_filter> compile_seccomp(const SeccompProfile& profile) {
  const Context context(seccomp_init(profile.default_action));
  if (!context) throw SyscallError(ENOMEM, "seccomp_init", {}, "compile seccomp profile");
  check(seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2), "seccomp_attr_set", {});
  const std::vector<uint32_t> architectures = add_architectures(context.get(), profile);
  for (const auto& rule : profile.rules) {
    if (rule.action == profile.default_action) continue;
    for (const auto& name : rule.names) add_call(context.get(), rule, name);
  }
  std::vector<sock_filter> program = prefix_of(profile, architectures);
  const std::vector<sock_filter> filter = export_program(context.get());
  program.insert(program.end(), filter.begin(), filter.end());
  return program;
}

std::string seccomp_version() {
  const scmp_version* version = ::seccomp_version();
  return std::to_string(version->major) + "." + std::to_string(version->minor) + "." +
         std::to_string(version->micro);
}

}  // namespace gantry
