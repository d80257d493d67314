//! A plugin in src/main.rs: a program, where a library belongs.
#[path = "plugin.rs"]
mod plugin;

fn main() {}
