//! An album, whose events and state may be large.

use teatime::testing::{Failure, Simulation};
use teatime::{App, Cx, handlers, model};

/// An album, which holds the newest of its large pictures.
#[model(id = "album", version = 1)]
pub(crate) struct Album {
    pub(crate) newest: String,
    pub(crate) background: String,
    pub(crate) count: u64,
}

#[handlers]
impl Album {
    fn init(cx: &mut Cx<Self>, background: &u64) -> Self {
        cx.subscribe("album", "add", Self::add);
        let background = "b".repeat(usize::try_from(*background).unwrap_or(0));
        Self { newest: String::new(), background, count: 0 }
    }

    fn add(&mut self, _cx: &mut Cx<Self>, picture: String) {
        self.newest = picture;
        self.count += 1;
    }
}

pub(crate) fn album(background: u64, picture: usize) -> Simulation<'static> {
    let app = App::builder::<Album>("org.example.album").build().expect("it is sound");
    Simulation::of(app)
        .options(&background)
        .action(1, move |_, user| user.publish("album", "add", &"p".repeat(picture)))
        .check(|end| assert_eq!(end.root::<Album>().count, end.count("album", "add")))
}

/// The limits of the simulated reflector and of its queues adapt to the size of events and state.
#[test]
fn large_events_and_large_states_pass() -> Result<(), Failure> {
    for (background, picture, seeds, seconds) in
        [(0, 1_000, 20, 60), (0, 8_000, 8, 30), (0, 60_000, 4, 10), (2_000_000, 10, 2, 3)]
    {
        let played = album(background, picture).seeds(seeds).seconds(seconds).sync_distance(20);
        assert!(played.run()?.entries > 10, "{background} {picture}");
    }
    Ok(())
}
