// Whatever arrives on the control socket or in the plan is a message or is refused; what is taken in can be answered.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "shim/messages.h"
#include "shim/plan.h"
#include "shim/utf8.h"

using namespace gantry::shim;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  LaunchPlan plan;
  (void)decode(bytes, plan);
  ShimRequest request;
  if (!decode(bytes, request)) return 0;
  if (!request.ticket.ticket.empty() && request.ticket.ticket.size() != kTicketBytes) abort();
  const std::string reply = encode_error(request.seq, {.code = "errno", .step = "s", .message = std::string(bytes)});
  const std::string text = to_utf8(bytes);
  if (to_utf8(text) != text || reply.empty()) abort();
  return 0;
}
