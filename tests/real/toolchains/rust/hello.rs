//! A library that is no plugin.
#[no_mangle]
pub extern "C" fn add(a: i32, b: i32) -> i32 {
    println!("{a} + {b}");
    a + b
}
