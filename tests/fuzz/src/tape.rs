//! Reads the bytes of an input as a sequence of steps.

/// What is left of an input.
pub(crate) struct Tape<'a>(&'a [u8]);

impl<'a> Tape<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next byte; `None` at the end.
    pub(crate) fn step(&mut self) -> Option<u8> {
        self.0.split_off_first().copied()
    }

    /// The next number, of two bytes; 0 at the end.
    pub(crate) fn number(&mut self) -> u16 {
        let bytes = self.0.split_off(..2).unwrap_or_default();
        bytes.try_into().map_or(0, u16::from_le_bytes)
    }

    /// The next bytes, behind a number that says how many they are. At the end there may be fewer.
    pub(crate) fn piece(&mut self) -> &'a [u8] {
        let length = usize::from(self.number()).min(self.0.len());
        self.0.split_off(..length).unwrap_or_default()
    }
}

/// Writes an input.
#[derive(Default)]
pub(crate) struct Script(Vec<u8>);

impl Script {
    pub(crate) fn step(mut self, step: u8) -> Self {
        self.0.push(step);
        self
    }

    pub(crate) fn number(mut self, number: u16) -> Self {
        self.0.extend(number.to_le_bytes());
        self
    }

    pub(crate) fn piece(self, piece: &[u8]) -> Self {
        let length = u16::try_from(piece.len()).expect("seeds are short");
        let mut script = self.number(length);
        script.0.extend(piece);
        script
    }

    pub(crate) fn end(self) -> Vec<u8> {
        self.0
    }
}
