// The one relay process of an engine. It holds a socket for every published port, so that a program of the host that
// wants the port learns that it is taken (and we, that it was), and carries what reaches these sockets: connections
// from the host itself and from IPv6 to IPv4. All else is translated in the kernel and never comes here.
// native/README.md has the control protocol.

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <string>

#include "relay/confine.h"
#include "relay/control.h"
#include "relay/event_loop.h"
#include "relay/port_table.h"

namespace gantry::relay {
namespace {

enum ExitCode { kOk = 0, kFailed = 1, kUsage = 2, kAlreadyRunning = 4 };

constexpr int kControlBacklog = 64;

EventLoop* running_loop = nullptr;
void on_terminate(int) { running_loop->stop(); }

[[noreturn]] void die(const char* what) {
  fprintf(stderr, "relay: %s: %s\n", what, strerrordesc_np(errno));
  exit(kFailed);
}

// Whoever holds the lock owns the path, so a socket file that lies there is a dead process' and may go.
// The descriptor of the lock stays open for as long as we live. The socket gets its name once it listens, so that
// whoever sees it can connect.
UniqueFd listen_on_path(const std::string& path) {
  std::string early = path + ".new";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (early.size() >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    die(path.c_str());
  }
  memcpy(address.sun_path, early.c_str(), early.size());
  umask(0177);
  UniqueFd lock(open((path + ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock) die("lock");
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) die("lock");
    fprintf(stderr, "relay: another one serves %s\n", path.c_str());
    exit(kAlreadyRunning);
  }
  (void)lock.release();
  if (unlink(early.c_str()) != 0 && errno != ENOENT) die("unlink");
  UniqueFd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener || bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      listen(listener.get(), kControlBacklog) != 0 || rename(early.c_str(), path.c_str()) != 0)
    die(path.c_str());
  return listener;
}

UniqueFd inherit_listener(const char* number) {
  char* end = nullptr;
  long fd = strtol(number, &end, 10);
  int flags = *number != '\0' && *end == '\0' ? fcntl(static_cast<int>(fd), F_GETFL) : -1;
  if (flags < 0 || fcntl(static_cast<int>(fd), F_SETFL, flags | O_NONBLOCK) != 0) die("--listen-fd");
  return UniqueFd(static_cast<int>(fd));
}

int serve(UniqueFd listener) {
  sigset_t ending;
  sigset_t while_waiting;
  sigemptyset(&ending);
  sigaddset(&ending, SIGTERM);
  sigaddset(&ending, SIGINT);
  sigprocmask(SIG_BLOCK, &ending, &while_waiting);
  sigdelset(&while_waiting, SIGTERM);
  sigdelset(&while_waiting, SIGINT);
  EventLoop loop;
  running_loop = &loop;
  struct sigaction action{};
  action.sa_handler = on_terminate;
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  PortTable table(loop);
  ControlServer control(loop, table, std::move(listener));
  if (!control.start()) die("control socket");
  raise_descriptor_limit();
  if (chdir("/") != 0) die("chdir");  // not to keep a mount busy
  if (!confine()) die("confine");
  loop.run(while_waiting);
  return kOk;
}

}  // namespace
}  // namespace gantry::relay

int main(int argc, char** argv) {
  using namespace gantry::relay;
  std::string how = argc == 3 ? argv[1] : "";
  if (how != "--socket" && how != "--listen-fd") {
    fprintf(stderr, "usage: relay --socket PATH | --listen-fd N\n");
    return kUsage;
  }
  // It outlives the service that started it. Fails for a leader of a process group, which has what it needs already.
  (void)setsid();
  _exit(serve(how == "--socket" ? listen_on_path(argv[2]) : inherit_listener(argv[2])));
}
