//! Reads join links, also as messengers, mail programs and people change them.

use std::str::FromStr;

use super::write::{MARK, unbase32, unseal};
use super::{JoinLink, LinkError};
use crate::address::reflector_address;

/// Longest part of a text that an error shows.
const SHOWN: usize = 200;

impl FromStr for JoinLink {
    type Err = LinkError;

    fn from_str(text: &str) -> Result<Self, LinkError> {
        // What was added may have been escaped, too.
        let plain = clean(&unescape_all(&clean(text)));
        read(begun(&plain)).map_err(|error| match error {
            LinkError::Unchecked { link, .. } => {
                LinkError::Unchecked { link, parts: parts_of(begun(text)) }
            }
            other => other,
        })
    }
}

/// The text without quotes, brackets and blanks in front.
fn begun(text: &str) -> &str {
    text.trim_start_matches(|character: char| !character.is_alphanumeric())
}

/// What a link without a check may mean, for the user to give it in another way. It is not tried: nothing could say whether
/// a character is missing.
fn parts_of(text: &str) -> String {
    let named = || {
        let (scheme, rest) = scheme(text)?;
        let public = rest.split(['#', '?']).next()?;
        let mut parts = public.trim_end_matches('/').rsplitn(3, '/').map(unescape);
        let (name, _app, host) = (parts.next()??, parts.next()??, parts.next()??);
        let reflector = reflector_address(&format!("{scheme}://{host}")).ok()?;
        let is_short = name.len() <= SHOWN && reflector.len() <= SHOWN;
        let is_shown = !name.is_empty() && is_short && !name.contains(char::is_control);
        is_shown.then(|| format!("the reflector {reflector}, the room {name:?} and its password"))
    };
    named().unwrap_or_else(|| "reflector, room and password".into())
}

/// Reads the text of a link. It has a check, so everything that it can mean may be tried.
fn read(text: &str) -> Result<JoinLink, LinkError> {
    let damaged = |why| LinkError::Damaged { link: shown(text), why };
    let changed = || damaged("characters are missing or have changed");
    let text = text.trim_end_matches(|character: char| !character.is_ascii_alphanumeric());
    let (scheme, rest) = scheme(text).ok_or_else(|| LinkError::Scheme(shown(text)))?;
    let (public, sealed) = match rest.split_once('#') {
        Some((public, sealed)) => (public, Some(without_query(sealed))),
        None => (rest, None),
    };
    let parts: Vec<_> = without_query(public).trim_end_matches('/').split('/').collect();
    let at = parts.iter().position(|part| part.starts_with(MARK)).filter(|at| *at > 0);
    let unchecked = || LinkError::Unchecked { link: shown(text), parts: String::new() };
    let at = at.ok_or_else(unchecked)?;
    let [app, name, options @ ..] = &parts[at + 1..] else { return Err(changed()) };
    let options = match options {
        [] => None,
        [options] => Some(unbase32(options).ok_or_else(changed)?),
        _ => return Err(changed()),
    };
    let address = format!("{scheme}://{}", parts[..at].join("/"));
    let mut link = JoinLink {
        reflector: reflector_address(&address).map_err(|_| changed())?,
        app: read_name(app).ok_or_else(changed)?,
        name: read_name(name).ok_or_else(changed)?,
        options,
        password: None,
    };
    let found = unbase32(parts[at].trim_start_matches(MARK)).ok_or_else(changed)?;
    let check = link.check(sealed.is_some());
    match sealed {
        _ if found == link.check(true) && sealed.is_none() => {
            return Err(damaged("expected a password behind #, found none"));
        }
        _ if found != check => return Err(changed()),
        None => {}
        Some(sealed) => {
            let password = unseal(&check, sealed);
            let why = "the password behind # is not complete, or has changed";
            link.password = Some(password.ok_or_else(|| damaged(why))?);
        }
    }
    Ok(link)
}

/// The text without the characters that programs and people add, and that no link contains.
fn clean(text: &str) -> String {
    let added = |character: &char| {
        character.is_whitespace()
            || character.is_control()
            || matches!(
                character,
                // Backslashes, blanks as forms write them, soft hyphens, and characters without width.
                '\\' | '+' | '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
                    | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fe00}'..='\u{fe0f}'
            )
    };
    let dashes = |character| match character {
        '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
        other => other,
    };
    text.chars().filter(|character| !added(character)).map(dashes).collect()
}

/// `ws` or `wss`, and what follows the scheme.
fn scheme(text: &str) -> Option<(&'static str, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    match scheme.to_ascii_lowercase().as_str() {
        "teatime" => Some(("ws", rest)),
        "teatimes" => Some(("wss", rest)),
        _ => None,
    }
}

/// Some programs add parameters to every link, and in HTML a quote ends it.
fn without_query(text: &str) -> &str {
    text.split(['?', '&', '"', '\'', '<', '>']).next().unwrap_or_default()
}

/// A name in a link that a program has made.
fn read_name(part: &str) -> Option<String> {
    match part.strip_prefix(MARK) {
        Some(encoded) => String::from_utf8(unbase32(encoded)?).ok(),
        None => Some(part.to_owned()),
    }
}

/// What an error may show: the text up to a character behind which the password may be.
fn shown(text: &str) -> String {
    let public =
        |character: &char| character.is_ascii_alphanumeric() || ":/.-_~@[]".contains(*character);
    text.chars().take_while(public).take(SHOWN).collect()
}

/// Resolves escapes such as `%41` and `&#65;`, also those of escapes.
fn unescape_all(text: &str) -> String {
    let mut text = text.to_owned();
    // Each program on the way may escape a link once.
    for _ in 0..4 {
        let resolved = resolve_entities(&text);
        let plain = unescape(&resolved).unwrap_or(resolved);
        if plain == text {
            break;
        }
        text = plain;
    }
    text
}

/// Resolves the entities of HTML once.
fn resolve_entities(text: &str) -> String {
    let mut parts = text.split('&');
    let mut plain = String::with_capacity(text.len());
    plain.extend(parts.next());
    for part in parts {
        let entity = part.split_once(';');
        match entity.and_then(|(name, rest)| Some((character_of(name)?, rest))) {
            Some((character, rest)) => {
                plain.push(character);
                plain.push_str(rest);
            }
            None => {
                plain.push('&');
                plain.push_str(part);
            }
        }
    }
    plain
}

/// The characters of links, and what stands around links, by their names in HTML.
const ENTITIES: [(&str, char); 14] = [
    ("amp", '&'),
    ("apos", '\''),
    ("colon", ':'),
    ("dash", '-'),
    ("gt", '>'),
    ("hyphen", '-'),
    ("lowbar", '_'),
    ("lt", '<'),
    ("nbsp", ' '),
    ("num", '#'),
    ("percnt", '%'),
    ("period", '.'),
    ("quot", '"'),
    ("sol", '/'),
];

/// What stands for an entity: that of its number or of its name.
fn character_of(entity: &str) -> Option<char> {
    let Some(number) = entity.strip_prefix('#') else {
        return ENTITIES.iter().find(|(name, _)| *name == entity).map(|(_, character)| *character);
    };
    let code = match number.strip_prefix(['x', 'X']) {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => number.parse(),
    };
    char::from_u32(code.ok()?)
}

/// Resolves escapes once. `None` if the result is not UTF-8.
fn unescape(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        plain.push(escaped.unwrap_or(bytes[at]));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8(plain).ok()
}
