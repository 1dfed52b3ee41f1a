//! The page of error codes: the table of statuses of the C library, whose names all languages share, and the codes with
//! which a reflector closes a connection.

use std::fmt::Write;
use std::path::Path;

use syn::{Expr, Item, Lit};
use teatime::CloseReason;

use super::{parse, text};

const FILE: &str = "ffi/src/status.rs";

const HEAD: &str = "# Error codes\n\nA failure has the same name in every language: `TEA_STATUS_BAD_SNAPSHOT` in C, \
    `DisconnectReason::code` in Rust, `TeatimeError.Code` in Swift, `ErrorCode` in Kotlin, and `code` in the JSON of the \
    commands. A number is never used again.\n";

/// What the hundreds of a status say.
const GROUPS: [(i64, &str); 10] = [
    (0, "Success"),
    (100, "Wrong calls"),
    (200, "Values"),
    (300, "Configuration"),
    (400, "Publishing"),
    (500, "Connection and session"),
    (600, "Models and queries"),
    (700, "Tests and persisted data"),
    (800, "Blobs"),
    (900, "The library"),
];

const CLOSES: &str = "\n## Close codes\n\nThe code in the close frame of a WebSocket. A client tries again by itself after \
    4000 to 4099. From 4100 on it gives up, because the next attempt would end in the same way.\n\n\
    | code | name | meaning | tries again |\n|---|---|---|---|\n";

pub(super) fn page(root: &Path) -> Result<String, String> {
    let statuses = statuses(root)?;
    let mut page = HEAD.to_owned();
    for (group, title) in GROUPS {
        let _ = write!(page, "\n## {title}\n\n| status | name | meaning |\n|---|---|---|\n");
        for (number, name, meaning) in
            statuses.iter().filter(|(number, ..)| number / 100 * 100 == group)
        {
            let _ = writeln!(page, "| {number} | `{name}` | {meaning} |");
        }
    }
    let is_grouped = |number: &i64| GROUPS.iter().any(|(group, _)| number / 100 * 100 == *group);
    if let Some((number, name, _)) = statuses.iter().find(|(number, ..)| !is_grouped(number)) {
        return Err(format!("{FILE}: {name} = {number} is in a group without a title"));
    }
    page.push_str(CLOSES);
    for reason in CloseReason::ALL {
        let again = if reason.is_retryable() { "yes" } else { "no" };
        let _ = writeln!(page, "| {} | `{}` | {reason} | {again} |", reason.code(), reason.name());
    }
    Ok(page)
}

/// Number, name and meaning of each status.
fn statuses(root: &Path) -> Result<Vec<(i64, String, String)>, String> {
    let source = parse(root, FILE)?;
    let table = source.items.iter().find_map(|item| match item {
        Item::Enum(item) if item.ident == "tea_status" => Some(item),
        _ => None,
    });
    let table = table.ok_or(format!("{FILE}: no enum tea_status"))?;
    let status = |variant: &syn::Variant| {
        let number = match &variant.discriminant {
            Some((_, Expr::Lit(literal))) => match &literal.lit {
                Lit::Int(number) => number.base10_parse().ok(),
                _ => None,
            },
            _ => None,
        };
        let name = variant.ident.to_string();
        let number = number.ok_or(format!("{FILE}: {name} has no number"))?;
        Ok((number, text::screaming(&name), text::docs(&variant.attrs)))
    };
    table.variants.iter().map(status).collect()
}
