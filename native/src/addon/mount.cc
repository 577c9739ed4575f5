#include "addon/mount.h"

#include <sys/mount.h>

#include "addon/convert.h"
#include "addon/worker.h"
#include "kernel/mount.h"
#include "kernel/overlay_mount.h"

namespace gantry::addon {
namespace {

Napi::Value mount_overlay_js(const Napi::CallbackInfo& info) {
  const auto options = info[0].As<Napi::Object>();
  const Napi::Value further = options.Get("options");
  OverlayMount overlay{
      .lower_dirs = to_strings(options.Get("lowerDirs")),
      .upper_dir = get_string_or(options, "upperDir", ""),
      .work_dir = get_string_or(options, "workDir", ""),
      .target = get_string(options, "target"),
      .options = further.IsArray() ? to_strings(further) : std::vector<std::string>{},
  };
  return start_void(info.Env(), [overlay = std::move(overlay)] { mount_overlay(overlay); });
}

Napi::Value mount_js(const Napi::CallbackInfo& info) {
  const auto options = info[0].As<Napi::Object>();
  bool lossless = false;
  return start_void(info.Env(),
                    [source = get_string(options, "source"), target = get_string(options, "target"),
                     type = get_string_or(options, "type", ""), data = get_string_or(options, "data", ""),
                     flags = options.Get("flags").As<Napi::BigInt>().Uint64Value(&lossless)] {
                      if (mount(source.c_str(), target.c_str(), type.c_str(), flags, data.c_str()) != 0) {
                        throw_errno("mount", target);
                      }
                    });
}

void check(int result, const char* call) {
  if (result >= 0) return;
  errno = -result;
  throw_errno(call);
}

Napi::Value bind_js(const Napi::CallbackInfo& info) {
  const auto options = info[0].As<Napi::Object>();
  return start_void(info.Env(), [source = options.Get("source").As<Napi::Number>().Int32Value(),
                                 target = options.Get("target").As<Napi::Number>().Int32Value(),
                                 recursive = options.Get("recursive").ToBoolean().Value(),
                                 read_only = options.Get("readOnly").ToBoolean().Value()] {
    const int cloned = clone_mount(source, "", recursive);
    check(cloned, "open_tree");
    const UniqueFd mount(cloned);
    check(change_mount(cloned, read_only ? MOUNT_ATTR_RDONLY : 0, 0, MS_PRIVATE, recursive), "mount_setattr");
    check(attach_mount(cloned, target), "move_mount");
  });
}

Napi::Value unmount_js(const Napi::CallbackInfo& info) {
  return start_void(info.Env(), [target = info[0].As<Napi::String>().Utf8Value(),
                                 flags = info[1].As<Napi::Number>().Int32Value()] {
    if (umount2(target.c_str(), flags) != 0) throw_errno("umount2", target);
  });
}

}  // namespace

void export_mount(Napi::Env env, Napi::Object exports) {
  exports.Set("mountOverlay", Napi::Function::New(env, mount_overlay_js, "mountOverlay"));
  exports.Set("mount", Napi::Function::New(env, mount_js, "mount"));
  exports.Set("bind", Napi::Function::New(env, bind_js, "bind"));
  exports.Set("unmount", Napi::Function::New(env, unmount_js, "unmount"));
}

}  // namespace gantry::addon
