//! The pages that are made from the code.

use teatime_tests::program::built;
use teatime_tests::reference::pages;
use teatime_tests::teatime::Teatime;

use crate::{read, root};

#[test]
fn the_pages_that_are_made_from_the_code_are_up_to_date() {
    let pages =
        pages(&root(), &Teatime::at(built("teatime"))).expect("the sources have their form");
    for (file, page) in pages {
        let remedy = "run: cargo run --package teatime-tests --bin reference";
        assert!(read(&file) == page, "{} differs from the code: {remedy}", file.display());
    }
}
