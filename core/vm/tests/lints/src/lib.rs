//! Lines that no model may contain; `tests/lints.rs` checks that the lints refuse each of them.

pub fn clock() -> std::time::Duration {
    std::time::Instant::now().elapsed()
}

pub fn thread() {
    let _ = std::thread::spawn(|| ());
}

pub fn socket() -> bool {
    std::net::TcpStream::connect("127.0.0.1:1").is_ok()
}

pub fn file() -> Option<String> {
    std::fs::read_to_string("a").ok()
}

pub fn environment() -> Option<String> {
    std::env::var("A").ok()
}

pub fn order(map: &std::collections::HashMap<u8, u8>) -> Option<u8> {
    map.keys().next().copied()
}

pub fn float(x: f64) -> f64 {
    x.sin()
}

pub fn power(x: f64) -> f64 {
    x.powf(1.5)
}

pub fn fused(x: f64) -> f64 {
    x.mul_add(2.0, 1.0)
}

pub fn allowed(x: f64, list: &std::collections::BTreeMap<u8, f64>) -> f64 {
    x.sqrt() + list.values().sum::<f64>()
}
