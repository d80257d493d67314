//! A plugin that marks every response with the header x-custom-header, without an SDK.
const std = @import("std");

extern "env" fn proxy_add_header_map_value(kind: u32, key: [*]const u8, key_size: usize, value: [*]const u8, size: usize) u32;

export fn proxy_abi_version_0_2_1() void {}
export fn proxy_on_memory_allocate(size: usize) ?[*]u8 {
    const memory = std.heap.wasm_allocator.alloc(u8, size) catch return null;
    return memory.ptr;
}
export fn proxy_on_context_create(_: u32, _: u32) void {}
export fn proxy_on_vm_start(_: u32, _: u32) u32 {
    return 1;
}
export fn proxy_on_configure(_: u32, _: u32) u32 {
    return 1;
}
export fn proxy_on_response_headers(_: u32, _: u32, _: u32) u32 {
    const key = "x-custom-header";
    const value = "custom-value";
    _ = proxy_add_header_map_value(2, key, key.len, value, value.len);
    return 0;
}
