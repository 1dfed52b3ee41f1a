//! A secret by which programs of one user recognize a server of theirs, and by which it recognizes them.

use std::fmt;
use std::io;

use data_encoding::BASE32_NOPAD;

/// Random bytes of a token.
const BYTES: usize = 20;

/// Most bytes of a challenge that is answered.
const MAX_CHALLENGE: usize = 64;

/// A random text that fits into a path.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Draws a token.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn draw() -> io::Result<Self> {
        let mut bytes = [0; BYTES];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        Ok(Self(BASE32_NOPAD.encode(&bytes).to_ascii_lowercase()))
    }

    /// Reads a token from its text.
    pub fn read(text: &str) -> Option<Self> {
        let is_valid = BASE32_NOPAD.decode(text.to_ascii_uppercase().as_bytes()).is_ok();
        (is_valid && text.len() == BYTES * 8 / 5).then(|| Self(text.to_owned()))
    }

    /// Its text. Only programs of the user may see it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What only a program with the token can answer to a challenge. `None` if the challenge is too long.
    pub fn answer(&self, challenge: &str) -> Option<String> {
        if challenge.len() > MAX_CHALLENGE {
            return None;
        }
        let key = blake3::derive_key("teatime v1 token", self.0.as_bytes());
        Some(blake3::keyed_hash(&key, challenge.as_bytes()).to_string())
    }

    /// Whether a path begins with the token. It takes the same time however much of it fits.
    pub(super) fn is_in(&self, path: &str) -> bool {
        let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
        let hash = |text: &str| blake3::hash(text.as_bytes());
        hash(first) == hash(&self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_drawn_and_only_whole() {
        let (token, other) = (Token::draw().expect("random"), Token::draw().expect("random"));
        assert_ne!(token, other);
        assert_eq!(Token::read(token.as_str()), Some(token.clone()));
        assert_eq!(Token::read(&token.as_str()[1..]), None);
        assert_eq!(Token::read(""), None);
        assert!(!format!("{token:?}").contains(token.as_str()));
    }

    #[test]
    fn a_path_has_the_token_first_and_whole() {
        let token = Token::draw().expect("random");
        let text = token.as_str();
        assert!(token.is_in(&format!("/{text}")) && token.is_in(&format!("/{text}/blobs")));
        for path in
            ["/".to_owned(), format!("/x/{text}"), format!("/{text}x"), format!("/{}", &text[1..])]
        {
            assert!(!token.is_in(&path), "{path}");
        }
    }

    #[test]
    fn an_answer_depends_on_token_and_challenge() {
        let (token, other) = (Token::draw().expect("random"), Token::draw().expect("random"));
        assert_eq!(token.answer("a"), token.answer("a"));
        assert_ne!(token.answer("a"), token.answer("b"));
        assert_ne!(token.answer("a"), other.answer("a"));
        assert_eq!(token.answer(&"a".repeat(65)), None);
    }
}
