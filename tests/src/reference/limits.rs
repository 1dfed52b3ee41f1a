//! The page of limits: each constant of the files `limits.rs` with its value and its reason.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use syn::{BinOp, Expr, Item, Lit, Visibility};

use super::{parse, text};

/// Title, folder in `core`, and name of the crate in paths.
const FILES: [(&str, &str, &str); 5] = [
    ("Protocol", "wire", "teatime_wire"),
    ("Models", "vm", "teatime_vm"),
    ("Clients", "session", "teatime_session"),
    ("Blobs", "blobs", "teatime_blobs"),
    ("Storage", "store", "teatime_store"),
];

const HEAD: &str = "# Limits\n\nThis page lists every fixed limit, with its reason. A reflector has further limits that its \
    operator sets: see `teatime reflector` in the [commands](cli.md).\n";

pub(super) fn page(root: &Path) -> Result<String, String> {
    let mut sections = Vec::new();
    let mut all = BTreeMap::new();
    for (title, folder, package) in FILES {
        let file = format!("core/{folder}/src/limits.rs");
        let source = parse(root, &file)?;
        let constants = constants(&source);
        for (name, _, value) in &constants {
            all.insert(name.clone(), value.clone());
            all.insert(format!("{package}::{name}"), value.clone());
        }
        sections.push((title, file, text::docs(&source.attrs), constants));
    }
    let mut page = HEAD.to_owned();
    for (title, file, about, constants) in sections {
        let own = constants.iter().map(|(name, _, value)| (name.clone(), value.clone()));
        // A name means the constant of the same file first.
        let known: BTreeMap<_, _> = all.clone().into_iter().chain(own).collect();
        let _ = write!(page, "\n## {title}\n\n{about} From [{file}](../../{file}).\n\n");
        page.push_str("| limit | value | reason |\n|---|---|---|\n");
        for (name, reason, value) in constants {
            let value = shown(&value, &known, is_size(&reason))
                .map_err(|why| format!("{file}: {name}: {why}"))?;
            let _ = writeln!(page, "| `{name}` | {value} | {reason} |");
        }
    }
    Ok(page)
}

/// The public constants of a file: name, reason, value.
fn constants(source: &syn::File) -> Vec<(String, String, Expr)> {
    let public = source.items.iter().filter_map(|item| match item {
        Item::Const(item) if matches!(item.vis, Visibility::Public(_)) => {
            Some((item.ident.to_string(), text::docs(&item.attrs), (*item.expr).clone()))
        }
        _ => None,
    });
    public.collect()
}

/// Whether a limit with this reason counts bytes.
fn is_size(reason: &str) -> bool {
    ["bytes", "Bytes", "KiB", "MiB"].iter().any(|unit| reason.contains(unit))
}

/// The value as text, with a binary unit if it is a size that is whole in it.
fn shown(value: &Expr, known: &BTreeMap<String, Expr>, is_size: bool) -> Result<String, String> {
    if let Expr::Range(range) = value
        && let (Some(start), Some(end)) = (&range.start, &range.end)
    {
        return Ok(format!("{} to {}", number(start, known)?, number(end, known)?));
    }
    let number = number(value, known)?;
    let binary = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let is_whole = |unit: u64| is_size && number >= unit && number.is_multiple_of(unit);
    let unit = binary.into_iter().find(|(unit, _)| is_whole(*unit));
    let exact = grouped(number);
    Ok(unit.map_or(exact.clone(), |(unit, name)| format!("{exact} ({} {name})", number / unit)))
}

/// Computes a constant expression.
fn number(value: &Expr, known: &BTreeMap<String, Expr>) -> Result<u64, String> {
    match value {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Int(number) => number.base10_parse().map_err(|why| why.to_string()),
            _ => Err("expected a number".to_owned()),
        },
        Expr::Paren(inner) => number(&inner.expr, known),
        Expr::Cast(inner) => number(&inner.expr, known),
        Expr::Path(path) => {
            let name = name(&path.path);
            known
                .get(&name)
                .ok_or(format!("{name} is not a known limit"))
                .and_then(|value| number(value, known))
        }
        Expr::Binary(sum) => {
            let (left, right) = (number(&sum.left, known)?, number(&sum.right, known)?);
            let result = match sum.op {
                BinOp::Add(_) => left.checked_add(right),
                BinOp::Sub(_) => left.checked_sub(right),
                BinOp::Mul(_) => left.checked_mul(right),
                BinOp::Div(_) => left.checked_div(right),
                BinOp::Shl(_) => u32::try_from(right).ok().and_then(|by| left.checked_shl(by)),
                _ => None,
            };
            result.ok_or("an operation that the page cannot compute".to_owned())
        }
        _ => Err("an expression that the page cannot compute".to_owned()),
    }
}

/// The name of a constant; of another crate, with that of the crate.
fn name(path: &syn::Path) -> String {
    let names: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
    match &names[..] {
        [package, .., name] if package.starts_with("teatime_") => format!("{package}::{name}"),
        [.., name] => name.clone(),
        [] => String::new(),
    }
}

/// With a comma between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
