#include "kernel/socket.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "kernel/syscall_error.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

namespace gantry {
namespace {

// An address for `path`; `folder` is kept open as long as the address is used when the path is too long for itself.
sockaddr_un unix_address(const std::string& path, UniqueFd& folder) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::string text = path;
  if (text.size() >= sizeof(address.sun_path)) {
    const size_t slash = path.rfind('/');
    folder.reset(open(path.substr(0, slash).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!folder) throw_errno("open", path.substr(0, slash), "socket folder");
    text = "/proc/self/fd/" + std::to_string(folder.get()) + path.substr(slash);
  }
  if (text.size() >= sizeof(address.sun_path)) throw SyscallError(ENAMETOOLONG, "bind", path);
  text.copy(address.sun_path, text.size());
  return address;
}

}  // namespace

UniqueFd listen_unix(const std::string& path, mode_t mode, int backlog) {
  UniqueFd socket_fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket_fd) throw_errno("socket");
  // The file of a bound socket takes the mode of the socket's own inode (unix(7)): no moment with other rights.
  if (fchmod(socket_fd.get(), mode) != 0) throw_errno("fchmod", path);
  UniqueFd folder;
  const sockaddr_un address = unix_address(path, folder);
  if (unlink(path.c_str()) != 0 && errno != ENOENT) throw_errno("unlink", path);
  if (bind(socket_fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    throw_errno("bind", path);
  }
  // The process umask took its share at bind.
  if (chmod(path.c_str(), mode) != 0) throw_errno("chmod", path);
  if (listen(socket_fd.get(), backlog) != 0) throw_errno("listen", path);
  return socket_fd;
}

std::pair<UniqueFd, UniqueFd> socket_pair() {
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) throw_errno("socketpair");
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

UniqueFd data_memfd(const std::string& name, std::span<const uint8_t> bytes, bool seal) {
  UniqueFd fd(memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL));
  // Kernels before 6.3 do not know MFD_NOEXEC_SEAL.
  if (!fd && errno == EINVAL) fd.reset(memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) throw_errno("memfd_create", name);
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t written = write(fd.get(), bytes.data() + done, bytes.size() - done);
    if (written < 0) throw_errno("write", name);
    done += static_cast<size_t>(written);
  }
  if (lseek(fd.get(), 0, SEEK_SET) != 0) throw_errno("lseek", name);
  const int seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
  if (seal && fcntl(fd.get(), F_ADD_SEALS, seals) != 0) throw_errno("fcntl", name, "seal");
  return fd;
}

}  // namespace gantry
