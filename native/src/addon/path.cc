#include "addon/path.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "addon/convert.h"
#include "addon/worker.h"
#include "kernel/copy_files.h"
#include "kernel/in_root.h"
#include "kernel/read_growing.h"
#include "kernel/remove_tree.h"
#include "kernel/unique_fd.h"

namespace gantry::addon {
namespace {

UniqueFd open_in_root(int root, const std::string& path, uint64_t flags, uint64_t mode) {
  open_how how = {};
  how.flags = flags | O_CLOEXEC;
  how.mode = mode;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  for (;;) {
    UniqueFd fd(static_cast<int>(syscall(SYS_openat2, root, path.c_str(), &how, sizeof(how))));
    if (fd) return fd;
    // A rename or mount raced with `..` in the path: the kernel asks to try again.
    if (errno != EAGAIN) throw_errno("openat2", path);
  }
}

Napi::Value open_in_root_js(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    UniqueFd fd = open_in_root(info[0].As<Napi::Number>().Int32Value(), info[1].As<Napi::String>(),
                               info[2].As<Napi::Number>().Uint32Value(), info[3].As<Napi::Number>().Uint32Value());
    return Napi::Number::New(info.Env(), fd.release());
  });
}

Napi::Value make_in_root_js(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const std::string path = info[1].As<Napi::String>();
    const int root = info[0].As<Napi::Number>().Int32Value();
    const int fd = info[2].As<Napi::Boolean>() ? make_directory_in_root(root, path.c_str())
                                               : make_file_in_root(root, path.c_str());
    if (fd < 0) {
      errno = -fd;
      throw_errno("openat2", path);
    }
    return Napi::Number::New(info.Env(), fd);
  });
}

Napi::Value get_xattr_js(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const std::string path = info[0].As<Napi::String>();
    const std::string name = info[1].As<Napi::String>();
    try {
      const std::vector<char> value = read_growing(
          "lgetxattr", path, [&](char* data, size_t size) { return lgetxattr(path.c_str(), name.c_str(), data, size); });
      return Napi::Buffer<char>::Copy(info.Env(), value.data(), value.size());
    } catch (const SyscallError& error) {
      if (error.error() == ENODATA) return info.Env().Undefined();
      throw;
    }
  });
}

Napi::Value list_xattrs_js(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const std::string path = info[0].As<Napi::String>();
    const std::vector<char> names =
        read_growing("llistxattr", path, [&](char* data, size_t size) { return llistxattr(path.c_str(), data, size); });
    Napi::Array result = Napi::Array::New(info.Env());
    for (size_t at = 0; at < names.size();) {
      const std::string name(names.data() + at);
      result.Set(result.Length(), Napi::String::New(info.Env(), name));
      at += name.size() + 1;
    }
    return result;
  });
}

void set_xattr_js(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    const std::string path = info[0].As<Napi::String>();
    const std::string name = info[1].As<Napi::String>();
    const Bytes value = to_bytes(info[2]);
    if (lsetxattr(path.c_str(), name.c_str(), value.data, value.size, 0) != 0) throw_errno("lsetxattr", path, name);
  });
}

void make_node_js(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    const std::string path = info[0].As<Napi::String>();
    const dev_t device = makedev(info[2].As<Napi::Number>().Uint32Value(), info[3].As<Napi::Number>().Uint32Value());
    if (mknod(path.c_str(), info[1].As<Napi::Number>().Uint32Value(), device) != 0) throw_errno("mknod", path);
  });
}

Napi::Value sync_file_system_js(const Napi::CallbackInfo& info) {
  return start_void(info.Env(), [path = info[0].As<Napi::String>().Utf8Value()] {
    const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) throw_errno("open", path);
    if (syncfs(fd.get()) != 0) throw_errno("syncfs", path);
  });
}

Napi::Value reserve_space_js(const Napi::CallbackInfo& info) {
  return start_void(info.Env(), [path = info[0].As<Napi::String>().Utf8Value(),
                                 size = info[1].As<Napi::Number>().Int64Value()] {
    const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!fd) throw_errno("open", path);
    if (fallocate(fd.get(), FALLOC_FL_KEEP_SIZE, 0, size) != 0) throw_errno("fallocate", path);
  });
}

Napi::Value remove_tree_part_js(const Napi::CallbackInfo& info) {
  return PromiseWorker<bool>::start(
      info.Env(),
      [path = info[0].As<Napi::String>().Utf8Value(), limit = info[1].As<Napi::Number>().Uint32Value()] {
        return remove_tree(path, limit);
      },
      [](Napi::Env env, bool& done) { return Napi::Boolean::New(env, done); });
}

// Owners and permissions come as one array of numbers, three for each file.
Napi::Value copy_files_js(const Napi::CallbackInfo& info) {
  const Napi::Array from = info[0].As<Napi::Array>();
  const Napi::Array to = info[1].As<Napi::Array>();
  const Napi::Uint32Array numbers = info[2].As<Napi::Uint32Array>();
  std::vector<FileCopy> copies;
  copies.reserve(from.Length());
  for (uint32_t at = 0; at < from.Length(); ++at) {
    copies.push_back({from.Get(at).As<Napi::String>(), to.Get(at).As<Napi::String>(), numbers[size_t{3} * at],
                      numbers[size_t{3} * at + 1], numbers[size_t{3} * at + 2]});
  }
  return start_void(info.Env(), [copies = std::move(copies)] {
    for (const FileCopy& copy : copies) copy_file(copy);
  });
}

}  // namespace

void export_path(Napi::Env env, Napi::Object exports) {
  exports.Set("openInRoot", Napi::Function::New(env, open_in_root_js, "openInRoot"));
  exports.Set("makeInRoot", Napi::Function::New(env, make_in_root_js, "makeInRoot"));
  exports.Set("getXattr", Napi::Function::New(env, get_xattr_js, "getXattr"));
  exports.Set("listXattrs", Napi::Function::New(env, list_xattrs_js, "listXattrs"));
  exports.Set("setXattr", Napi::Function::New(env, set_xattr_js, "setXattr"));
  exports.Set("syncFileSystem", Napi::Function::New(env, sync_file_system_js, "syncFileSystem"));
  exports.Set("reserveSpace", Napi::Function::New(env, reserve_space_js, "reserveSpace"));
  exports.Set("removeTreePart", Napi::Function::New(env, remove_tree_part_js, "removeTreePart"));
  exports.Set("copyFiles", Napi::Function::New(env, copy_files_js, "copyFiles"));
  exports.Set("makeNode", Napi::Function::New(env, make_node_js, "makeNode"));
}

}  // namespace gantry::addon
