// A plugin that marks every response with the header x-custom-header, without an SDK.
@external("env", "proxy_add_header_map_value")
declare function add(kind: u32, key: usize, keySize: usize, value: usize, valueSize: usize): u32;
export function proxy_abi_version_0_2_1(): void {}
export function proxy_on_memory_allocate(size: usize): usize { return heap.alloc(size); }
export function proxy_on_context_create(id: u32, parent: u32): void {}
export function proxy_on_vm_start(id: u32, size: u32): u32 { return 1; }
export function proxy_on_configure(id: u32, size: u32): u32 { return 1; }
export function proxy_on_response_headers(id: u32, count: u32, end: u32): u32 {
  const key = String.UTF8.encode("x-custom-header"), value = String.UTF8.encode("custom-value");
  add(2, changetype<usize>(key), key.byteLength, changetype<usize>(value), value.byteLength);
  return 0;
}
