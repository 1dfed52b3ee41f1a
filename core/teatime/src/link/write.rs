//! Writes join links, and hashes what they mean.

use std::fmt;

use data_encoding::{BASE32_NOPAD, BASE32_NOPAD_NOCASE};

use super::JoinLink;
use crate::address::reflector_address;

/// Bytes of the hash of everything but the password: a wrong link passes once in 2^40.
const CHECK: usize = 5;

/// Bytes of the hash behind the password.
const SEAL: usize = 3;

/// What the part with the check, and names in base32, begin with.
pub(super) const MARK: char = '-';

impl fmt::Display for JoinLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An address that is not valid makes a text that is not a link.
        let address = reflector_address(&self.reflector).unwrap_or_else(|_| self.reflector.clone());
        let (scheme, host) = match address.split_once("://") {
            Some(("wss", host)) => ("teatimes", host),
            Some((_, host)) => ("teatime", host),
            None => ("teatime", address.as_str()),
        };
        // Some shells replace what is in brackets.
        let host = host.replace('[', "%5B").replace(']', "%5D");
        let check = self.check(self.password.is_some());
        write!(f, "{scheme}://{host}/{MARK}{}", base32(&check))?;
        for name in [&self.app, &self.name] {
            match is_plain(name) {
                true => write!(f, "/{name}")?,
                false => write!(f, "/{MARK}{}", base32(name.as_bytes()))?,
            }
        }
        if let Some(options) = &self.options {
            write!(f, "/{}", base32(options))?;
        }
        if let Some(password) = &self.password {
            let mut sealed = password.as_bytes().to_vec();
            sealed.extend(seal(&check, password.as_bytes()));
            write!(f, "#{}", base32(&sealed))?;
        }
        Ok(())
    }
}

impl JoinLink {
    /// A hash of everything but the password. It must not depend on the password, because others may see it: they could
    /// try passwords.
    pub(super) fn check(&self, has_password: bool) -> [u8; CHECK] {
        let mut hasher = blake3::Hasher::new_derive_key("teatime v1 join link");
        let options = self.options.as_deref();
        let parts = [
            self.reflector.as_bytes(),
            self.app.as_bytes(),
            self.name.as_bytes(),
            options.unwrap_or_default(),
            &[u8::from(options.is_some()), u8::from(has_password)],
        ];
        for part in parts {
            hasher.update(&(part.len() as u64).to_be_bytes()).update(part);
        }
        let mut check = [0; CHECK];
        hasher.finalize_xof().fill(&mut check);
        check
    }
}

/// A hash of the password and its link, so that the password of one link does not pass in another.
fn seal(check: &[u8; CHECK], password: &[u8]) -> [u8; SEAL] {
    let mut hasher = blake3::Hasher::new_derive_key("teatime v1 join link password");
    hasher.update(check).update(password);
    let mut seal = [0; SEAL];
    hasher.finalize_xof().fill(&mut seal);
    seal
}

/// The password in the last part of a link. `None` if it is not as it was written.
pub(super) fn unseal(check: &[u8; CHECK], sealed: &str) -> Option<String> {
    let mut password = unbase32(sealed)?;
    let found = password.split_off(password.len().checked_sub(SEAL)?);
    (found == seal(check, &password)).then(|| String::from_utf8(password).ok()).flatten()
}

/// Letters and digits, with single `-`, `.` and `_` between them. Programs recognize these in links, and turn neither
/// two dashes into a long one nor three dots into one character.
fn is_plain(name: &str) -> bool {
    name.split(['-', '.', '_'])
        .all(|run| !run.is_empty() && run.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// Letters and digits only: programs leave out punctuation at the end of a link.
fn base32(bytes: &[u8]) -> String {
    BASE32_NOPAD.encode(bytes).to_ascii_lowercase()
}

/// Also of a text that was typed by hand: base32 has no 0, 1 and 8, because they look like letters.
pub(super) fn unbase32(text: &str) -> Option<Vec<u8>> {
    let letter = |byte| match byte {
        b'0' => b'o',
        b'1' => b'l',
        b'8' => b'b',
        other => other,
    };
    let letters: Vec<_> = text.bytes().map(letter).collect();
    BASE32_NOPAD_NOCASE.decode(&letters).ok()
}
