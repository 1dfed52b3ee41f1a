//! The badge of a session: two colours and a word, the same on all screens of the same session.

use std::fmt;

use teatime_vm::SessionId;

/// Two colours and a word that follow from a session id. Two people who see the same badge are in the same session. Two
/// different sessions share a badge by accident about once in 10¹¹ pairs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Badge {
    /// Two colours as red, green, blue.
    pub colours: [[u8; 3]; 2],
    /// Five letters that can be read aloud.
    pub word: String,
}

impl Badge {
    /// The badge of this session.
    pub fn of(session: &SessionId) -> Self {
        let digest = blake3::derive_key("teatime v1 badge", &session.0);
        let [r1, g1, b1, r2, g2, b2, letters @ ..] = digest;
        let word = letters.iter().zip([true, false, true, false, true]).map(|(byte, consonant)| {
            let from: &[u8] = if consonant { b"bcdfghjklmnprstvwxz" } else { b"aeiou" };
            char::from(from[usize::from(*byte) % from.len()])
        });
        Self { colours: [[r1, g1, b1], [r2, g2, b2]], word: word.collect() }
    }
}

impl fmt::Display for Badge {
    /// Such as `#a0b1c2/#d3e4f5 tokim`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (colour, end) in self.colours.iter().zip(["/", " "]) {
            let [red, green, blue] = colour;
            write!(f, "#{red:02x}{green:02x}{blue:02x}{end}")?;
        }
        f.write_str(&self.word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_badge_follows_from_the_session_alone() {
        let badge = Badge::of(&SessionId([1; 32]));
        assert_eq!(badge, Badge::of(&SessionId([1; 32])));
        assert_ne!(badge.colours, Badge::of(&SessionId([2; 32])).colours);
        let shown = badge.to_string();
        assert_eq!(shown.len(), "#a0b1c2/#d3e4f5 tokim".len());
        assert!(shown.ends_with(&badge.word) && badge.word.chars().all(|c| c.is_ascii_lowercase()));
    }
}
