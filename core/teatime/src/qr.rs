//! QR codes of join links.

use qrcode::{Color, EcLevel, QrCode as Encoder};

/// A QR code as a square of modules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QrCode {
    /// The modules of a side, without the quiet zone.
    pub side: usize,
    /// Row by row; true is dark.
    pub modules: Vec<bool>,
}

/// The width in modules of the light border around the code. The standard demands four; cameras need two, and a terminal
/// has little room.
const QUIET: usize = 2;

impl QrCode {
    /// The code of a text. `None` if the text is longer than a QR code can hold (2,953 bytes).
    pub fn new(text: &str) -> Option<Self> {
        let code = Encoder::with_error_correction_level(text, EcLevel::L).ok()?;
        let modules = code.to_colors().iter().map(|color| *color == Color::Dark).collect();
        Some(Self { side: code.width(), modules })
    }

    /// Whether this module is dark. All modules outside the code are light.
    pub fn is_dark(&self, column: usize, row: usize) -> bool {
        column < self.side && row < self.side && self.modules[row * self.side + column]
    }

    /// The code with its quiet zone, as lines of text. Each character shows two modules, one above the other. Light
    /// modules are drawn and dark ones are left out, for light text on a dark background.
    pub fn to_lines(&self) -> Vec<String> {
        let full = self.side + 2 * QUIET;
        let light = |column: usize, row: usize| {
            row < full && !self.is_dark(column.wrapping_sub(QUIET), row.wrapping_sub(QUIET))
        };
        (0..full)
            .step_by(2)
            .map(|row| {
                (0..full)
                    .map(|column| match (light(column, row), light(column, row + 1)) {
                        (true, true) => '█',
                        (true, false) => '▀',
                        (false, true) => '▄',
                        (false, false) => ' ',
                    })
                    .collect()
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_has_its_three_finders_and_a_light_border() {
        let code = QrCode::new("teatime://127.0.0.1:9090/app/room").expect("it is short");
        let last = code.side - 1;
        for (column, row) in [(0, 0), (last, 0), (0, last)] {
            assert!(code.is_dark(column, row));
        }
        let lines = code.to_lines();
        assert_eq!(lines.len(), (code.side + 2 * QUIET).div_ceil(2));
        assert!(lines[0].chars().all(|c| c == '█'));
        assert!(lines.iter().all(|line| line.starts_with("██") && line.ends_with("██")
            || line.starts_with("▀▀") && line.ends_with("▀▀")));
    }

    /// Reads a code as a camera does: by another library, from an image of it.
    fn scanned(code: &QrCode) -> String {
        const PIXELS: usize = 4;
        let side = (code.side + 8) * PIXELS;
        let dark = |x: usize, y: usize| {
            code.is_dark((x / PIXELS).wrapping_sub(4), (y / PIXELS).wrapping_sub(4))
        };
        let mut image = rqrr::PreparedImage::prepare_from_bitmap(side, side, dark);
        let [grid] = &image.detect_grids()[..] else { panic!("one code") };
        grid.decode().expect("it is whole").1
    }

    #[test]
    fn acceptance_2_a_camera_reads_the_link_that_the_code_was_made_of() {
        for length in [1, 60, 200, 500, 1_000] {
            let text: String =
                "teatime://192.0.2.1:9090/-x/".chars().cycle().take(length).collect();
            assert_eq!(scanned(&QrCode::new(&text).expect("it is short")), text);
        }
    }

    #[test]
    fn a_text_that_is_too_long_has_no_code() {
        assert_eq!(QrCode::new(&"x".repeat(3000)), None);
    }
}
