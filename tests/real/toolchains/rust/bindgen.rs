//! A plugin with a function of JavaScript's, declared as the macros of wasm-bindgen declare it.
#[path = "plugin.rs"]
mod plugin;

#[link(wasm_import_module = "__wbindgen_placeholder__")]
extern "C" {
    fn __wbg_getRandomValues_3774744e221a22ad(buffer: u32, size: u32);
}

#[no_mangle]
pub extern "C" fn proxy_on_foreign_function(_: u32, _: u32, _: u32) {
    unsafe { __wbg_getRandomValues_3774744e221a22ad(0, 0) }
}
