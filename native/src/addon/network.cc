#include "addon/network.h"

#include <optional>

#include "addon/convert.h"
#include "addon/worker.h"
#include "kernel/conntrack.h"
#include "kernel/container_links.h"
#include "kernel/links.h"

namespace gantry::addon {
namespace {

Napi::Array to_array(Napi::Env env, const std::vector<LinkAddress>& addresses) {
  Napi::Array array = Napi::Array::New(env, addresses.size());
  for (uint32_t i = 0; i < addresses.size(); ++i) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("cidr", addresses[i].cidr);
    object.Set("scope", addresses[i].scope);
    array.Set(i, object);
  }
  return array;
}

Napi::Object to_object(Napi::Env env, const Link& link) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("index", link.index);
  object.Set("name", link.name);
  object.Set("alias", link.alias);
  object.Set("kind", link.kind);
  object.Set("mac", link.mac);
  object.Set("mtu", link.mtu);
  object.Set("up", link.up);
  object.Set("carrier", link.carrier);
  object.Set("master", link.master);
  object.Set("link", link.link);
  object.Set("addresses", to_array(env, link.addresses));
  return object;
}

Napi::Object to_object(Napi::Env env, const Route& route) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("destination", route.destination);
  object.Set("gateway", route.gateway);
  object.Set("link", route.link);
  object.Set("source", route.source);
  object.Set("metric", route.metric);
  return object;
}

template <typename Item>
Napi::Value list(const Napi::CallbackInfo& info, std::vector<Item> (*read)()) {
  return PromiseWorker<std::vector<Item>>::start(info.Env(), read, [](Napi::Env env, std::vector<Item>& items) {
    Napi::Array array = Napi::Array::New(env, items.size());
    for (uint32_t i = 0; i < items.size(); ++i) array.Set(i, to_object(env, items[i]));
    return array;
  });
}

Napi::Value list_links_js(const Napi::CallbackInfo& info) { return list(info, list_links); }
Napi::Value list_routes_js(const Napi::CallbackInfo& info) { return list(info, list_routes); }

Napi::Value create_link_js(const Napi::CallbackInfo& info) {
  const auto options = info[0].As<Napi::Object>();
  NewLink link{
      .kind = get_string(options, "kind"),
      .name = get_string(options, "name"),
      .mac = {},
      .mtu = static_cast<uint32_t>(get_int_or(options, "mtu", 0)),
      .parent = get_string_or(options, "parent", ""),
      .mode = static_cast<uint32_t>(get_int_or(options, "mode", 0)),
      .no_multicast_snooping = !get_bool_or(options, "multicastSnooping", true),
  };
  if (const Napi::Value mac = options.Get("mac"); mac.IsTypedArray()) {
    const Bytes bytes = to_bytes(mac);
    link.mac.assign(bytes.data, bytes.data + bytes.size);
  }
  return start_void(info.Env(), [link] { create_link(link); });
}

Napi::Value delete_link_js(const Napi::CallbackInfo& info) {
  return start_void(info.Env(), [name = info[0].As<Napi::String>().Utf8Value()] { delete_link(name); });
}

Napi::Value set_link_up_js(const Napi::CallbackInfo& info) {
  return start_void(info.Env(), [name = info[0].As<Napi::String>().Utf8Value(),
                                 up = info[1].As<Napi::Boolean>().Value()] { set_link_up(name, up); });
}

Napi::Value set_link_mtu_js(const Napi::CallbackInfo& info) {
  return start_void(info.Env(), [name = info[0].As<Napi::String>().Utf8Value(),
                                 mtu = info[1].As<Napi::Number>().Uint32Value()] { set_link_mtu(name, mtu); });
}

// Operations on two strings: the link, and what is done to it.
Napi::Value on_two(const Napi::CallbackInfo& info, void (*act)(const std::string&, const std::string&)) {
  return start_void(info.Env(), [act, name = info[0].As<Napi::String>().Utf8Value(),
                                 argument = info[1].As<Napi::String>().Utf8Value()] { act(name, argument); });
}

Napi::Value set_link_master_js(const Napi::CallbackInfo& info) { return on_two(info, set_link_master); }
Napi::Value rename_link_js(const Napi::CallbackInfo& info) {
  return start_void(info.Env(), [name = info[0].As<Napi::String>().Utf8Value(),
                                 to = info[1].As<Napi::String>().Utf8Value(),
                                 alias = info[2].As<Napi::String>().Utf8Value()] { rename_link(name, to, alias); });
}
Napi::Value add_address_js(const Napi::CallbackInfo& info) { return on_two(info, add_address); }
Napi::Value remove_address_js(const Napi::CallbackInfo& info) { return on_two(info, remove_address); }

std::vector<ContainerRoute> to_routes(const Napi::Object& plan) {
  std::vector<ContainerRoute> routes;
  const auto array = plan.Get("routes").As<Napi::Array>();
  for (uint32_t i = 0; i < array.Length(); ++i) {
    const auto route = array.Get(i).As<Napi::Object>();
    routes.push_back({.destination = get_string(route, "destination"),
                      .gateway = get_string(route, "gateway"),
                      .metric = static_cast<uint32_t>(get_int_or(route, "metric", 0))});
  }
  return routes;
}

std::map<std::string, std::string> to_map(const Napi::Object& object) {
  std::map<std::string, std::string> map;
  for (const std::string& name : to_strings(object.GetPropertyNames())) map[name] = get_string(object, name.c_str());
  return map;
}

Napi::Value attach_interface_js(const Napi::CallbackInfo& info) {
  const int pid = info[0].As<Napi::Number>().Int32Value();
  const auto plan = info[1].As<Napi::Object>();
  const Bytes mac = to_bytes(plan.Get("mac"));
  ContainerInterface interface{
      .kind = get_string(plan, "kind"),
      .host_name = get_string(plan, "hostName"),
      .name = get_string(plan, "name"),
      .parent = get_string(plan, "parent"),
      .mac = {mac.data, mac.data + mac.size},
      .addresses = to_strings(plan.Get("addresses")),
      .mtu = static_cast<uint32_t>(get_int_or(plan, "mtu", 0)),
      .routes = to_routes(plan),
      .mode = static_cast<uint32_t>(get_int_or(plan, "modeNumber", 0)),
      .sysctls = to_map(plan.Get("sysctls").As<Napi::Object>()),
      .isolated = get_bool_or(plan, "isolated", false),
  };
  return start_void(info.Env(), [pid, interface] { attach_interface(pid, interface); });
}

Napi::Value detach_interface_js(const Napi::CallbackInfo& info) {
  return start_void(info.Env(), [pid = info[0].As<Napi::Number>().Int32Value(),
                                 name = info[1].As<Napi::String>().Utf8Value(),
                                 host_name = info[2].As<Napi::String>().Utf8Value()] {
    detach_interface(pid, name, host_name);
  });
}

std::optional<DefaultRoute> to_default_route(const Napi::Value& value) {
  if (value.IsUndefined()) return {};
  const auto way = value.As<Napi::Object>();
  return DefaultRoute{
      .gateway = way.Get("gateway").As<Napi::String>().Utf8Value(),
      .link = way.Get("link").As<Napi::String>().Utf8Value(),
  };
}

Napi::Value set_default_routes_js(const Napi::CallbackInfo& info) {
  return start_void(info.Env(), [pid = info[0].As<Napi::Number>().Int32Value(),
                                 ipv4 = to_default_route(info[1]), ipv6 = to_default_route(info[2])] {
    set_default_routes(pid, ipv4, ipv6);
  });
}

Napi::Value forget_udp_flows_js(const Napi::CallbackInfo& info) {
  std::set<uint16_t> ports;
  const auto array = info[0].As<Napi::Array>();
  for (uint32_t i = 0; i < array.Length(); ++i) {
    ports.insert(static_cast<uint16_t>(array.Get(i).As<Napi::Number>().Uint32Value()));
  }
  return PromiseWorker<unsigned>::start(info.Env(), [ports] { return forget_udp_flows(ports); },
                                        [](Napi::Env env, unsigned& count) { return Napi::Number::New(env, count); });
}

}  // namespace

void export_network(Napi::Env env, Napi::Object exports) {
  exports.Set("listLinks", Napi::Function::New(env, list_links_js, "listLinks"));
  exports.Set("listRoutes", Napi::Function::New(env, list_routes_js, "listRoutes"));
  exports.Set("createLink", Napi::Function::New(env, create_link_js, "createLink"));
  exports.Set("deleteLink", Napi::Function::New(env, delete_link_js, "deleteLink"));
  exports.Set("setLinkUp", Napi::Function::New(env, set_link_up_js, "setLinkUp"));
  exports.Set("setLinkMtu", Napi::Function::New(env, set_link_mtu_js, "setLinkMtu"));
  exports.Set("setLinkMaster", Napi::Function::New(env, set_link_master_js, "setLinkMaster"));
  exports.Set("renameLink", Napi::Function::New(env, rename_link_js, "renameLink"));
  exports.Set("addAddress", Napi::Function::New(env, add_address_js, "addAddress"));
  exports.Set("attachInterface", Napi::Function::New(env, attach_interface_js, "attachInterface"));
  exports.Set("detachInterface", Napi::Function::New(env, detach_interface_js, "detachInterface"));
  exports.Set("setDefaultRoutes", Napi::Function::New(env, set_default_routes_js, "setDefaultRoutes"));
  exports.Set("forgetUdpFlows", Napi::Function::New(env, forget_udp_flows_js, "forgetUdpFlows"));
  exports.Set("removeAddress", Napi::Function::New(env, remove_address_js, "removeAddress"));
}

}  // namespace gantry::addon
