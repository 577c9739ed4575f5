#include "shim/console.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/ioctl.h>

#include "kernel/in_root.h"

#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif

namespace gantry::shim {

int resize_terminal(int fd, uint32_t rows, uint32_t columns) {
  winsize size = {};
  size.ws_row = static_cast<unsigned short>(rows > 0xffff ? 0xffff : rows);
  size.ws_col = static_cast<unsigned short>(columns > 0xffff ? 0xffff : columns);
  return ioctl(fd, TIOCSWINSZ, &size) != 0 ? -errno : 0;
}

int control_terminal(int slave) { return ioctl(slave, TIOCSCTTY, 0) != 0 ? -errno : 0; }

bool open_terminal(int root, uint32_t rows, uint32_t columns, Terminal& terminal, Failure& failure) {
  constexpr const char* kPath = "/dev/pts/ptmx";
  // Looked at first: whatever else the image put there is not opened.
  const int found = open_in_root(root, kPath, O_PATH);
  if (found < 0) return failure.set("terminal", -found, kPath);
  const UniqueFd look(found);
  if (filesystem_of(found) != DEVPTS_SUPER_MAGIC) return failure.set("terminal", ENODEV, kPath);
  const int opened = open_in_root(root, kPath, O_RDWR | O_NOCTTY);
  if (opened < 0) return failure.set("terminal", -opened, kPath);
  terminal.master.reset(opened);
  if (filesystem_of(opened) != DEVPTS_SUPER_MAGIC) return failure.set("terminal", ENODEV, kPath);
  int unlocked = 0;
  if (ioctl(opened, TIOCSPTLCK, &unlocked) != 0) return failure.set("terminal", errno, "unlock");
  terminal.slave.reset(ioctl(opened, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!terminal.slave) return failure.set("terminal", errno, "peer");
  if (rows == 0 && columns == 0) return true;
  const int error = resize_terminal(opened, rows, columns);
  return error == 0 || failure.set("terminal", -error, "size");
}

}  // namespace gantry::shim
