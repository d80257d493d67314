//! A plugin that marks every response with the header x-custom-header.

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, LogLevel};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_http_context(|_, _| Box::new(Marker));
}}

struct Marker;
impl Context for Marker {}
impl HttpContext for Marker {
    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        self.add_http_response_header("x-custom-header", "custom-value");
        Action::Continue
    }
}
