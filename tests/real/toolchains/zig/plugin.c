// A plugin that marks every response with the header x-custom-header, without an SDK.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#define EXPORT(name) __attribute__((export_name(#name)))
#define IMPORT(name) __attribute__((import_module("env"), import_name(#name)))
IMPORT(proxy_add_header_map_value) uint32_t proxy_add_header_map_value(uint32_t, const char*, size_t, const char*, size_t);
EXPORT(proxy_abi_version_0_2_1) void proxy_abi_version_0_2_1(void) {}
#ifndef NO_ALLOCATOR
EXPORT(proxy_on_memory_allocate) void* proxy_on_memory_allocate(size_t size) { return malloc(size); }
#endif
EXPORT(proxy_on_context_create) void proxy_on_context_create(uint32_t a, uint32_t b) {}
EXPORT(proxy_on_vm_start) uint32_t proxy_on_vm_start(uint32_t a, uint32_t b) { return 1; }
EXPORT(proxy_on_configure) uint32_t proxy_on_configure(uint32_t a, uint32_t b) { return 1; }
EXPORT(proxy_on_response_headers) uint32_t proxy_on_response_headers(uint32_t a, uint32_t b, uint32_t c) {
  proxy_add_header_map_value(2, "x-custom-header", 15, "custom-value", 12);
  return 0;
}
