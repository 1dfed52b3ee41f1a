//! A board in three versions.

use serde::{Deserialize, Serialize};
use teatime::persisted::{NoPrevious, Persisted};
use teatime::{Cx, handlers, model};

/// The state that all versions show.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Shown {
    /// The board's title.
    pub title: String,
    /// The board's stars. For a new title each version adds its own number.
    pub stars: u64,
}

/// The persisted data of the first version.
#[derive(Serialize, Deserialize)]
pub(crate) struct First(String);

/// The persisted data of the second version.
#[derive(Serialize, Deserialize)]
pub(crate) struct Second {
    title: String,
    stars: u64,
}

/// The persisted data of the third version. The migration from the second has a bug; a later release fixes it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Third<const BUG: bool> {
    titles: Vec<String>,
    stars: u64,
}

impl Persisted for First {
    const VERSION: u32 = 1;
    type Previous = NoPrevious;

    fn migrate(old: NoPrevious) -> Result<Self, String> {
        match old {}
    }
}

impl Persisted for Second {
    const VERSION: u32 = 2;
    type Previous = First;

    fn migrate(old: First) -> Result<Self, String> {
        Ok(Self { title: old.0, stars: 40 })
    }
}

impl<const BUG: bool> Persisted for Third<BUG> {
    const VERSION: u32 = 3;
    type Previous = Second;

    fn migrate(old: Second) -> Result<Self, String> {
        if BUG && old.title == "cursed" {
            return Err("the title is cursed".into());
        }
        Ok(Self { titles: vec![old.title], stars: old.stars })
    }
}

impl From<Shown> for First {
    fn from(shown: Shown) -> Self {
        Self(shown.title)
    }
}

impl From<Shown> for Second {
    fn from(Shown { title, stars }: Shown) -> Self {
        Self { title, stars }
    }
}

impl<const BUG: bool> From<Shown> for Third<BUG> {
    fn from(Shown { title, stars }: Shown) -> Self {
        Self { titles: vec![title], stars }
    }
}

impl From<First> for Shown {
    fn from(first: First) -> Self {
        Self { title: first.0, stars: 0 }
    }
}

impl From<Second> for Shown {
    fn from(Second { title, stars }: Second) -> Self {
        Self { title, stars }
    }
}

impl<const BUG: bool> From<Third<BUG>> for Shown {
    fn from(Third { titles, stars }: Third<BUG>) -> Self {
        Self { title: titles.join(" "), stars }
    }
}

macro_rules! board {
    ($name:ident, $layout:ty) => {
        /// The root model of a version. It subscribes to `board/rename` and publishes `board/renamed`.
        #[model(id = "board", version = 1)]
        pub(crate) struct $name {
            shown: Shown,
        }

        #[handlers]
        impl $name {
            fn init(cx: &mut Cx<Self>, _options: &()) -> Self {
                cx.subscribe("board", "rename", Self::rename);
                let before = cx.persisted::<$layout>().map(Shown::from);
                Self { shown: before.unwrap_or_else(|| Shown { title: "new".into(), stars: 0 }) }
            }

            fn rename(&mut self, cx: &mut Cx<Self>, title: String) {
                self.shown.title = title;
                self.shown.stars += u64::from(<$layout>::VERSION);
                cx.persist(&<$layout>::from(self.shown.clone())).expect("it is small");
                cx.publish("board", "renamed", ());
            }

            /// The state to show.
            #[query]
            fn board(&self) -> Shown {
                self.shown.clone()
            }
        }
    };
}

board!(BoardV1, First);
board!(BoardV2, Second);
board!(BoardV3, Third<true>);
board!(BoardV3Mended, Third<false>);
