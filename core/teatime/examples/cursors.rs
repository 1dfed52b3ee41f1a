//! The cursors of all participants: who is here, and where. Run it in two terminals with a name each, and type positions
//! such as `10 20`.
//!
//! Each participant hands in a name when it joins. The model learns of every join and exit, so a cursor disappears with
//! its participant, also when the connection of that participant broke.

use serde::{Deserialize, Serialize};
use teatime::{
    App, Config, Cx, Handling, OrderedMap, Session, VIEW_EXIT, VIEW_JOIN, View, ViewContext,
    ViewId, ViewInfo, handlers, local_reflector, model, to_bytes,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Point {
    x: i32,
    y: i32,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Cursor {
    name: String,
    at: Option<Point>,
}

#[model(id = "cursors", version = 1)]
struct Cursors {
    cursors: OrderedMap<ViewId, Cursor>,
}

#[handlers]
impl Cursors {
    fn init(cx: &mut Cx<Self>, _options: &()) -> Self {
        cx.subscribe(cx.session_scope(), VIEW_JOIN, Self::joined);
        cx.subscribe(cx.session_scope(), VIEW_EXIT, Self::exited);
        cx.subscribe("cursor", "move", Self::moved);
        Self { cursors: OrderedMap::new() }
    }

    fn joined(&mut self, cx: &mut Cx<Self>, view: ViewInfo) {
        // Another program may hand in anything, or nothing.
        let name = view.data::<String>().and_then(Result::ok);
        let name = name.unwrap_or_else(|| "anonymous".to_owned());
        self.cursors.insert(view.view_id, Cursor { name, at: None });
        cx.publish("cursor", "changed", ());
    }

    fn exited(&mut self, cx: &mut Cx<Self>, view: ViewId) {
        self.cursors.remove(&view);
        cx.publish("cursor", "changed", ());
    }

    fn moved(&mut self, cx: &mut Cx<Self>, to: Point) {
        // A participant moves its own cursor only: the reflector stamps the sender.
        let cursor = cx.sender().and_then(|sender| self.cursors.get_mut(&sender));
        let Some(cursor) = cursor else { return };
        cursor.at = Some(to);
        cx.publish("cursor", "changed", ());
    }
}

struct Screen;

impl Screen {
    fn draw(cursors: &Cursors) {
        let show = |cursor: &Cursor| match cursor.at {
            Some(Point { x, y }) => format!("{} at {x},{y}", cursor.name),
            None => format!("{} has not moved", cursor.name),
        };
        let shown: Vec<_> = cursors.cursors.values().map(show).collect();
        println!("{}", shown.join("; "));
    }
}

impl View for Screen {
    type Model = Cursors;
    type Args = ();

    fn attach(cx: &mut ViewContext<'_, Self>, (): &mut ()) -> Self {
        Self::draw(cx.model());
        // However many cursors move in a frame, the screen is drawn once.
        cx.subscribe("cursor", "changed", Handling::OncePerFrame, |_: &mut Self, cx, ()| {
            Self::draw(cx.model());
        });
        Self
    }
}

pub(crate) fn app() -> Result<App, teatime::AppError> {
    App::builder::<Cursors>("org.example.cursors").build()
}

fn parse(line: &str) -> Option<Point> {
    let (x, y) = line.trim().split_once(' ')?;
    Some(Point { x: x.parse().ok()?, y: y.trim().parse().ok()? })
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
            let Some(to) = parse(&line) else {
                eprintln!("invalid position {line:?}: expected two numbers, such as 10 20");
                continue;
            };
            let _ = remote.run(move |session| {
                if let Err(why) = session.publish("cursor", "move", &to) {
                    eprintln!("{why}");
                }
            });
        }
        remote.run(Session::leave)
    });
    session.run(|_, _| ())?;
    Ok(())
}
