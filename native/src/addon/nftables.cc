#include "addon/nftables.h"

#include "addon/convert.h"
#include "addon/poll.h"
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

}  // namespace

void export_nftables(Napi::Env env, Napi::Object exports) {
  exports.Set("watchRuleset", Napi::Function::New(env, watch_ruleset_js, "watchRuleset"));
}

}  // namespace gantry::addon
