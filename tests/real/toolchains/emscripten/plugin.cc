// A plugin that marks every response with the header x-custom-header, without an SDK.
#include <cstdint>
#include <string>

#define EXPORT(name) extern "C" __attribute__((export_name(#name), used))
#define IMPORT(name) extern "C" __attribute__((import_module("env"), import_name(#name)))

IMPORT(proxy_add_header_map_value)
uint32_t proxy_add_header_map_value(uint32_t kind, const char* key, size_t key_size, const char* value, size_t size);

EXPORT(proxy_abi_version_0_2_1) void proxy_abi_version_0_2_1() {}
EXPORT(proxy_on_context_create) void proxy_on_context_create(uint32_t, uint32_t) {}
EXPORT(proxy_on_vm_start) uint32_t proxy_on_vm_start(uint32_t, uint32_t) { return 1; }
EXPORT(proxy_on_configure) uint32_t proxy_on_configure(uint32_t, uint32_t) { return 1; }
EXPORT(proxy_on_response_headers) uint32_t proxy_on_response_headers(uint32_t, uint32_t, uint32_t) {
  std::string key = "x-custom-header", value = "custom-value";
  proxy_add_header_map_value(2, key.data(), key.size(), value.data(), value.size());
  return 0;
}
