//! The cursors of all participants: who is here, and where. Run it in two terminals with a name each, and type positions
//! such as `10 20`, or another name.
//!
//! Who is here is part of the model: each participant hands in a name when it joins, and another one is an event. Where a cursor
//! is changes often, and only the newest position counts. So it is no event, but what a participant shows of itself: its
//! presence. Both are gone with the participant, also when its connection broke.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use teatime::{
    App, Config, Cx, Handling, OrderedMap, Session, SessionEvent, TypedTopic, VIEW_EXIT, VIEW_JOIN,
    View, ViewContext, ViewId, ViewInfo, handlers, local_reflector, model, to_bytes,
};

/// Another name of the sender.
pub(crate) const RENAME: TypedTopic<String> = TypedTopic::new("cursors", "rename");

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Point {
    x: i32,
    y: i32,
}

#[model(id = "cursors", version = 2)]
struct Cursors {
    names: OrderedMap<ViewId, String>,
}

#[handlers]
impl Cursors {
    fn init(cx: &mut Cx<Self>, _options: &()) -> Self {
        cx.subscribe(cx.session_scope(), VIEW_JOIN, Self::joined);
        cx.subscribe(cx.session_scope(), VIEW_EXIT, Self::exited);
        cx.subscribe_topic(&RENAME, Self::rename);
        Self { names: OrderedMap::new() }
    }

    fn rename(&mut self, cx: &mut Cx<Self>, name: String) {
        if let Some(known) = cx.sender().and_then(|sender| self.names.get_mut(&sender)) {
            *known = name;
            cx.publish("cursors", "changed", ());
        }
    }

    fn joined(&mut self, cx: &mut Cx<Self>, view: ViewInfo) {
        // Another program may hand in anything, or nothing.
        let name = view.data::<String>().and_then(Result::ok);
        self.names.insert(view.view_id, name.unwrap_or_else(|| "anonymous".to_owned()));
        cx.publish("cursors", "changed", ());
    }

    fn exited(&mut self, cx: &mut Cx<Self>, view: ViewId) {
        self.names.remove(&view);
        cx.publish("cursors", "changed", ());
    }
}

/// Draws once in a frame, however much has changed.
struct Screen {
    own: Option<Point>,
    is_changed: bool,
}

impl View for Screen {
    type Model = Cursors;
    type Args = ();

    fn attach(cx: &mut ViewContext<'_, Self>, (): &mut ()) -> Self {
        cx.subscribe("cursors", "changed", Handling::OncePerFrame, |screen: &mut Self, _, ()| {
            screen.is_changed = true;
        });
        Self { own: None, is_changed: true }
    }

    fn update(&mut self, cx: &mut ViewContext<'_, Self>) {
        if !std::mem::take(&mut self.is_changed) {
            return;
        }
        let mut points: BTreeMap<ViewId, Point> = cx.presences();
        points.extend(self.own.map(|point| (cx.view_id(), point)));
        let show = |(view, name): (&ViewId, &String)| match points.get(view) {
            Some(Point { x, y }) => format!("{name} at {x},{y}"),
            None => format!("{name} has not moved"),
        };
        let shown: Vec<_> = cx.model().names.iter().map(show).collect();
        println!("{}", shown.join("; "));
    }
}

pub(crate) fn app() -> Result<App, teatime::AppError> {
    App::builder::<Cursors>("org.example.cursors").build()
}

fn parse(line: &str) -> Option<Point> {
    let (x, y) = line.trim().split_once(' ')?;
    Some(Point { x: x.parse().ok()?, y: y.trim().parse().ok()? })
}

fn take(session: &mut Session<Screen>, line: &str) {
    let sent = match parse(line) {
        None => session.publish_topic(&RENAME, &line.trim().to_owned()).map(drop),
        Some(to) => {
            session.with_view(|screen, _| (screen.own, screen.is_changed) = (Some(to), true));
            session.set_presence(&to)
        }
    };
    if let Err(why) = sent {
        eprintln!("{why}");
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = std::env::args().nth(1).unwrap_or_else(|| "anonymous".to_owned());
    let mut config = Config::new(app()?, "lobby", &())?;
    config.view_data = Some(to_bytes(&name)?);
    let reflector = local_reflector()?;
    let mut session = Session::<Screen>::join(config, reflector.url())?;
    let remote = session.remote();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            let _ = remote.run(move |session| take(session, &line));
        }
        remote.run(Session::leave)
    });
    session.run(|session, event| {
        if matches!(event, SessionEvent::PresencesChanged) {
            session.with_view(|screen, _| screen.is_changed = true);
        }
    })?;
    Ok(())
}
