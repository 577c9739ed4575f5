// Part of a test build only (make attack): what somebody who has taken the unpack program over could do from where
// hostile input is parsed. Orders come on stdin, one line each; what was reached goes to the report.
//
//   call N            system call N with arguments that are all 0
//   executable        memory that can be run
//   walk NAME         tries to reach NAME from every descriptor and path there is, to read and to create
//   device MAJOR MINOR   makes a block device and opens it

#include "attack.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <string>

#include "unpack/report.h"

namespace gantry::unpack {
namespace {

constexpr int kManyDescriptors = 64;
constexpr int kManyLevels = 12;

bool reaches(int directory, const std::string& name, int& count) {
  int fd = openat(directory, name.c_str(), O_RDONLY);
  if (fd < 0) fd = openat(directory, name.c_str(), O_WRONLY | O_CREAT, 0644);
  if (fd < 0) return false;
  count++;
  close(fd);
  return true;
}

int walk(const std::string& name) {
  int count = 0;
  for (int fd = -1; fd < kManyDescriptors; fd++) {
    std::string up;
    for (int level = 0; level < kManyLevels; level++, up += "../") {
      int from = fd < 0 ? AT_FDCWD : fd;
      reaches(from, up + name.substr(1), count);
      reaches(from, up + ".." + name.substr(name.rfind('/')), count);
    }
  }
  reaches(AT_FDCWD, name, count);
  for (const char* way : {"/proc/1/root", "/proc/self/root", "/proc/self/cwd", "/dev/fd/3"}) reaches(AT_FDCWD, way + name, count);
  return count;
}

std::string obey(const char* order) {
  long number = 0;
  unsigned major = 0;
  unsigned minor = 0;
  char name[4096];
  if (sscanf(order, "call %ld", &number) == 1) {
    long result = syscall(number, 0, 0, 0, 0, 0, 0);
    return "returned " + std::to_string(result);
  }
  if (sscanf(order, "walk %4095s", name) == 1) return "reached " + std::to_string(walk(name));
  if (sscanf(order, "device %u %u", &major, &minor) == 2) {
    if (mknodat(AT_FDCWD, "/disk", S_IFBLK | 0666, makedev(major, minor)) != 0) return "no device";
    int fd = openat(AT_FDCWD, "/disk", O_RDONLY);
    return fd < 0 ? std::string("refused ") + strerrorname_np(errno) : "opened";
  }
  if (strncmp(order, "executable", 10) == 0) {
    void* memory = mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? "refused" : "mapped";
  }
  return "unknown order";
}

}  // namespace

std::string run_attack() {
  char order[4200];
  ssize_t size = read(STDIN_FILENO, order, sizeof order - 1);
  order[size < 0 ? 0 : size] = '\0';
  return JsonLine().flag("ok", true).text("result", obey(order)).finish();
}

}  // namespace gantry::unpack
