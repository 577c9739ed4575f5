#include "addon/nftables.h"

#include "addon/convert.h"
#include "addon/poll.h"
#include "kernel/nft_elements.h"
#include "kernel/nft_watch.h"

namespace gantry::addon {
namespace {

Napi::Object to_object(Napi::Env env, const RulesetChange& change) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("generation", change.generation);
  object.Set("processId", change.process_id);
  object.Set("processName", change.process_name);
  object.Set("lost", change.lost);
  return object;
}

Napi::Value watch_ruleset_js(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    UniqueFd fd = open_nft_watch();
    const int watched = fd.get();
    return PollWatch::start(info.Env(), std::move(fd), info[0].As<Napi::Function>(),
                            [watched](Napi::Env env, const Napi::FunctionReference& callback) {
                              const Napi::Function function = callback.Value();
                              const auto changes = guarded(env, [&] { return read_nft_changes(watched); });
                              for (const auto& change : changes) function.Call({to_object(env, change)});
                            })
        .object;
  });
}

// In the caller's thread: the kernel names that as the one who changed the ruleset.
void change_elements_js(const Napi::CallbackInfo& info) {
  const std::string table = info[0].As<Napi::String>();
  const auto list = info[1].As<Napi::Array>();
  std::vector<ElementChange> changes;
  for (uint32_t i = 0; i < list.Length(); ++i) {
    const auto object = list.Get(i).As<Napi::Object>();
    const Bytes keys = to_bytes(object.Get("keys"));
    const Bytes values = to_bytes(object.Get("values"));
    changes.push_back({.map = get_string(object, "map"),
                       .remove = get_bool_or(object, "remove", false),
                       .keys = {keys.data, keys.size},
                       .values = {values.data, values.size},
                       .count = static_cast<size_t>(get_int(object, "count"))});
  }
  guarded(info.Env(), [&] { change_elements(table, changes); });
}

}  // namespace

void export_nftables(Napi::Env env, Napi::Object exports) {
  exports.Set("changeElements", Napi::Function::New(env, change_elements_js, "changeElements"));
  exports.Set("watchRuleset", Napi::Function::New(env, watch_ruleset_js, "watchRuleset"));
}

}  // namespace gantry::addon
