#include "kernel/carrier.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>

namespace gantry {

UniqueFd open_link_control() { return UniqueFd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)); }

int settle_carrier(int control, const char* name) {
  ifreq request = {};
  if (std::strlen(name) >= sizeof(request.ifr_name)) return -ENAMETOOLONG;
  std::strcpy(request.ifr_name, name);
  ethtool_value carrier = {};
  carrier.cmd = ETHTOOL_GLINK;
  request.ifr_data = reinterpret_cast<char*>(&carrier);
  return ioctl(control, SIOCETHTOOL, &request) == 0 ? 0 : -errno;
}

}  // namespace gantry
