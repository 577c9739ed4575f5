// The sandboxed program that reads and writes archives: layers, `docker cp`, `docker commit`, `docker export`.
// It is given descriptors, never paths of the host; native/README.md has the contract.

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <latch>
#include <thread>

#include "shim/user.h"
#include "unpack/caller.h"
#include "unpack/chunk_queue.h"
#include "unpack/decoder.h"
#include "unpack/digest.h"
#include "unpack/extractor.h"
#include "unpack/failure.h"
#include "unpack/input.h"
#include "unpack/inspect.h"
#include "unpack/options.h"
#include "unpack/output.h"
#include "unpack/packer.h"
#include "unpack/report.h"
#include "unpack/sandbox.h"
#include "unpack/tar_reader.h"

// A test build (make attack) in which the program turns against us once the sandbox is up.
#ifdef GANTRY_UNPACK_ATTACK
#include "attack.h"
#endif

namespace gantry::unpack {
namespace {

enum ExitCode { kOk = 0, kFailed = 1, kUsage = 2, kReportLost = 3 };

// Small archives compress to nearly nothing; the ratio counts only beyond this many bytes.
constexpr uint64_t kRatioFreeBytes = 64 << 20;

// A question whether something is an archive reads that much at a time: seldom more than the first header is wanted.
constexpr size_t kProbeBytes = 64 << 10;

struct StreamTotals {
  std::string digest;
  std::string diff_id;
  uint64_t compressed_bytes = 0;
  uint64_t uncompressed_bytes = 0;
  Compression compression = Compression::kAuto;
};

void check_limits(const Options& options, const StreamTotals& totals) {
  if (options.max_bytes != 0 && totals.uncompressed_bytes > options.max_bytes)
    fail("limit", "", "archive is larger than " + std::to_string(options.max_bytes) + " bytes when uncompressed");
  if (options.max_ratio != 0 && totals.uncompressed_bytes > kRatioFreeBytes &&
      totals.uncompressed_bytes / options.max_ratio > totals.compressed_bytes)
    fail("limit", "", "archive is more than " + std::to_string(options.max_ratio) + " times larger when uncompressed");
}

// An archive for `apply` is read up to the fault: it may be no archive at all, which says more.
size_t decode(Decoder& decoder, std::span<uint8_t> chunk, const Options& options, ChunkQueue& queue) {
  try {
    return decoder.read(chunk);
  } catch (const Failure&) {
    size_t blocks = decoder.filled() - decoder.filled() % kBlockSize;
    if (options.mode == Mode::kApply && blocks > 0) queue.publish(blocks, false);
    throw;
  }
}

// As much as there is before the fault, in whole blocks.
size_t read_up_to_fault(Decoder& decoder, std::span<uint8_t> chunk) {
  try {
    return decoder.read(chunk);
  } catch (const Failure&) {
    return decoder.filled() - decoder.filled() % kBlockSize;
  }
}

// The reading thread: input, both digests, decompression.
void read_stream(const Options& options, ChunkQueue& queue, StreamTotals& totals) {
  try {
    bool hash = options.mode == Mode::kUnpack;
    Input input(kInputFd, kReportFd, hash);
    totals.compression = options.compression;
    std::unique_ptr<Decoder> decoder = open_decoder(totals.compression, input);
    bool same = totals.compression == Compression::kNone;
    Sha256 sha;
    for (bool last = false; !last;) {
      std::span<uint8_t> chunk = queue.acquire();
      size_t size = decode(*decoder, chunk, options, queue);
      last = size < chunk.size();
      totals.uncompressed_bytes += size;
      totals.compressed_bytes = input.bytes();
      check_limits(options, totals);
      if (hash && !same) sha.update(chunk.first(size));
      if (last && hash) {
        totals.digest = input.digest();
        totals.diff_id = same ? totals.digest : sha.finish();
      }
      queue.publish(size, last);
    }
  } catch (Failure& failure) {
    queue.fail(std::move(failure));
  } catch (const std::bad_alloc&) {
    queue.fail(Failure{"read", ENOMEM, "", "out of memory"});
  }
}

// Runs `work` once the filter is in place; the thread itself must exist before it.
class ReaderThread {
 public:
  explicit ReaderThread(std::function<void()> work) {
    std::thread([this, work = std::move(work)] {
      started_.count_down();
      go_.wait();
      work();
    }).detach();
    started_.wait();
  }
  void go() { go_.count_down(); }

 private:
  std::latch started_{1};
  std::latch go_{1};
};

UniqueFd open_destination(const Sandbox& sandbox, const Options& options) {
  UniqueFd destination(open_in_root(sandbox.root.get(), options.path.c_str(), O_PATH | O_DIRECTORY, Scope::kBase));
  if (!destination) fail_errno("path", options.path);
  return destination;
}

void sync_files(const Sandbox& sandbox) {
  UniqueFd top(openat(sandbox.root.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!top || syncfs(top.get()) != 0) fail_errno("sync", "");
}

// The sandbox's root is the container's: a link in it leads nowhere else.
Owner owner_of_user(const Sandbox& sandbox, const std::string& spec) {
  static shim::User user;
  static gantry::Failure failure;
  if (!shim::resolve_user(sandbox.root.get(), spec.c_str(), {}, user, failure)) fail("user", spec, failure.message);
  return Owner{user.uid, user.gid};
}

// The caller writes a byte when the lower layers are complete, and closes without one when they never will be.
void await_lowers() {
  char go = 0;
  ssize_t n;
  do {
    n = read(kExtraFd, &go, 1);
  } while (n < 0 && errno == EINTR);
  if (n < 0) fail_errno("read", "lower layers");
  if (n == 0) fail("read", "", "the lower layers were given up");
}

ExtractRules rules_of(const Sandbox& sandbox, const Options& options) {
  ExtractRules rules;
  rules.layer = options.mode == Mode::kUnpack;
  rules.no_overwrite_dir_non_dir = options.no_overwrite_dir_non_dir;
  rules.chown = options.chown;
  if (options.chown_user) rules.chown = owner_of_user(sandbox, *options.chown_user);
  rules.max_entries = options.max_entries;
  rules.destination = "/" + clean_path(options.path);
  if (options.await_lowers) rules.await_lowers = await_lowers;
  return rules;
}

std::string run_extract(const Sandbox& sandbox, const Options& options) {
  // Never destroyed: the process ends by _exit() while the thread may still be waiting for input.
  static ChunkQueue queue;
  static StreamTotals stream;
  static ReaderThread reader([&options] { read_stream(options, queue, stream); });
  // The ticket is compared, not parsed; the archive behind it is read by the locked program.
  if (options.accept) accept_caller(kInputFd, kReportFd, kInputFd);
  lock_system_calls(options);
#ifdef GANTRY_UNPACK_ATTACK
  return run_attack();
#endif
  UniqueFd destination = open_destination(sandbox, options);
  reader.go();

  TarReader tar([] { return queue.next(); });
  std::vector<int> lowers;
  for (const UniqueFd& lower : sandbox.lowers) lowers.push_back(lower.get());
  ExtractTotals totals = Extractor(destination.get(), rules_of(sandbox, options), std::move(lowers)).run(tar);
  tar.drain();
  if (options.sync) sync_files(sandbox);

  JsonLine line;
  line.flag("ok", true);
  if (!stream.digest.empty()) line.text("digest", stream.digest).text("diffId", stream.diff_id).flag("top", totals.top);
  return line.text("compression", compression_name(stream.compression))
      .number("compressedBytes", static_cast<int64_t>(stream.compressed_bytes))
      .number("uncompressedBytes", static_cast<int64_t>(stream.uncompressed_bytes))
      .number("diskBytes", static_cast<int64_t>(totals.disk_bytes))
      .number("entries", static_cast<int64_t>(totals.entries))
      .finish();
}

// Whether what comes in begins, uncompressed, with an entry: what is no archive, or one without any, is a plain file.
std::string run_probe(const Options& options) {
  lock_system_calls(options);
  bool found = false;
  try {
    Input input(kInputFd, kReportFd, false);
    Compression compression = options.compression;
    std::unique_ptr<Decoder> decoder = open_decoder(compression, input);
    std::vector<uint8_t> chunk(kProbeBytes);
    bool last = false;
    TarReader tar([&]() -> std::span<const uint8_t> {
      if (last) return {};
      size_t size = read_up_to_fault(*decoder, chunk);
      last = size < chunk.size();
      return std::span<const uint8_t>(chunk).first(size);
    });
    found = tar.next() != nullptr;
  } catch (const Failure&) {
    found = false;
  }
  return JsonLine().flag("ok", true).flag("archive", found).finish();
}

std::unique_ptr<BlockIndex> open_index(const Options& options) {
  if (!options.blocks) return nullptr;
  std::vector<std::pair<int, int>> others;
  for (int i = 0; i < static_cast<int>(*options.blocks); i++) others.emplace_back(kExtraFd + 1 + 2 * i, kExtraFd + 2 + 2 * i);
  return std::make_unique<BlockIndex>(kExtraFd, others);
}

std::string run_pack(const Sandbox& sandbox, const Options& options) {
  bool hash = options.gzip || options.digest;
  if (options.accept) accept_caller(kInputFd, kReportFd, kOutputFd);
  std::unique_ptr<BlockIndex> index = open_index(options);
  Output output(kOutputFd, hash, options.gzip, index.get());
  lock_system_calls(options);
  PackTotals totals = Packer(output, options.overlay_upper).run(sandbox.root.get(), options);
  JsonLine line;
  line.flag("ok", true);
  if (hash) line.text("digest", output.digest()).text("diffId", output.diff_id());
  return line.number("compressedBytes", static_cast<int64_t>(output.compressed_bytes()))
      .number("uncompressedBytes", static_cast<int64_t>(output.uncompressed_bytes()))
      .number("entries", static_cast<int64_t>(totals.entries))
      .number("changed", static_cast<int64_t>(totals.changed))
      .finish();
}

std::string find_user(const Sandbox& sandbox, const Options& options) {
  Owner owner = owner_of_user(sandbox, options.user);
  return JsonLine().flag("ok", true).number("uid", owner.uid).number("gid", owner.gid).finish();
}

std::string run(const Options& options) {
  Sandbox sandbox = enter_sandbox(options);
  switch (options.mode) {
    case Mode::kUnpack:
    case Mode::kApply: return run_extract(sandbox, options);
    case Mode::kProbe: return run_probe(options);
    case Mode::kPack: return run_pack(sandbox, options);
    case Mode::kStat: lock_system_calls(options); return stat_path(sandbox, options);
    case Mode::kUser: lock_system_calls(options); return find_user(sandbox, options);
    case Mode::kChanges: lock_system_calls(options); return list_changes(sandbox);
  }
  return {};
}

ExitCode run_and_report(const Options& options) {
  std::string line;
  ExitCode code = kOk;
  try {
    line = run(options);
  } catch (const Failure& failure) {
    line = failure_line(failure);
    code = kFailed;
  } catch (const std::bad_alloc&) {
    line = failure_line(Failure{"memory", ENOMEM, "", "out of memory"});
    code = kFailed;
  } catch (const std::exception& error) {
    line = failure_line(Failure{"internal", 0, "", error.what()});
    code = kFailed;
  }
  return write_report(line) ? code : kReportLost;
}

}  // namespace
}  // namespace gantry::unpack

int main(int argc, char** argv) {
  using namespace gantry::unpack;
  // A reader that goes away is an error to report (EPIPE), not a reason to vanish.
  signal(SIGPIPE, SIG_IGN);
  std::optional<Options> options = parse_options(argc, argv);
  if (!options) return kUsage;
  // No destructors: the reading thread may be anywhere.
  _exit(run_and_report(*options));
}
