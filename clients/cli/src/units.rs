//! Times and sizes as a user types them.

/// Seconds, from a number with a unit.
pub(crate) fn age(text: &str) -> Result<u64, String> {
    let units = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)];
    quantity(text, "never", &units)
        .ok_or_else(|| "expected a time, such as 365d, 12h, 30m or 10s, or never".into())
}

/// Bytes, from a number with a unit.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let units = [("K", 1 << 10), ("M", 1 << 20), ("G", 1 << 30), ("T", 1 << 40), ("", 1)];
    quantity(text, "unlimited", &units)
        .ok_or_else(|| "expected a size, such as 20G, 500M or 4096, or unlimited".into())
}

fn quantity(text: &str, unlimited: &str, units: &[(&str, u64)]) -> Option<u64> {
    if text == unlimited {
        return Some(u64::MAX);
    }
    let (number, unit) = units.iter().find_map(|(name, unit)| {
        let number: u64 = text.strip_suffix(name)?.parse().ok()?;
        Some((number, unit))
    })?;
    number.checked_mul(*unit)
}
