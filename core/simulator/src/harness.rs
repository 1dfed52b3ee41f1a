//! For the tests of Teatime itself: scenarios written by hand, many plans at once, and planted bugs. `teatime::testing`
//! does not offer these.

pub use crate::campaign::{Campaign, How};
pub use crate::planted::Bug;
pub use crate::scenario::Scenario;
pub use crate::shrink::{Shrunk, shrink};
