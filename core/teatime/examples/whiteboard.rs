//! A whiteboard in the terminal: each stroke is a model of its own. Run it in two terminals, and type points such as
//! `2,1 8,1 8,5`, or `undo`.
//!
//! The root model creates a stroke for each event, and destroys it again. A view reaches a stroke by its handle.

use serde::{Deserialize, Serialize};
use teatime::{
    App, Config, Cx, Handle, Handling, Session, View, ViewContext, ViewId, Vm, handlers,
    local_reflector, model,
};

const WIDTH: i32 = 40;
const HEIGHT: i32 = 10;
/// Most strokes. The oldest one makes room for a new one, so the state cannot grow for ever.
const MAX_STROKES: usize = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Point {
    x: i32,
    y: i32,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Drawn {
    by: ViewId,
    points: Vec<Point>,
}

#[model(id = "stroke", version = 1)]
struct Stroke {
    drawn: Drawn,
}

#[handlers]
impl Stroke {
    fn init(_cx: &mut Cx<Self>, drawn: &Drawn) -> Self {
        Self { drawn: drawn.clone() }
    }
}

#[model(id = "board", version = 1)]
struct Board {
    strokes: Vec<Handle<Stroke>>,
}

#[handlers]
impl Board {
    fn init(cx: &mut Cx<Self>, _options: &()) -> Self {
        cx.subscribe("board", "draw", Self::draw);
        cx.subscribe("board", "undo", Self::undo);
        Self { strokes: Vec::new() }
    }

    fn draw(&mut self, cx: &mut Cx<Self>, points: Vec<Point>) {
        let Some(by) = cx.sender() else { return };
        if self.strokes.len() == MAX_STROKES {
            cx.destroy(self.strokes.remove(0));
        }
        self.strokes.extend(cx.create::<Stroke>(&Drawn { by, points }));
        cx.publish("board", "changed", ());
    }

    /// Takes back the newest stroke of the participant who asks.
    fn undo(&mut self, cx: &mut Cx<Self>) {
        let sender = cx.sender();
        let is_own = |stroke: &Handle<Stroke>| {
            cx.get(*stroke).is_ok_and(|stroke| Some(stroke.drawn.by) == sender)
        };
        let Some(at) = self.strokes.iter().rposition(is_own) else { return };
        cx.destroy(self.strokes.remove(at));
        cx.publish("board", "changed", ());
    }
}

struct Canvas;

impl Canvas {
    /// The board as text: a letter for each corner of a stroke.
    fn draw(board: &Board, vm: &Vm) -> String {
        let mut cells = vec![vec!['.'; WIDTH as usize]; HEIGHT as usize];
        for (number, stroke) in board.strokes.iter().enumerate() {
            let letter = char::from(b'a' + (number % 26) as u8);
            let points = vm.get(*stroke).map(|stroke| stroke.drawn.points.as_slice());
            for Point { x, y } in points.unwrap_or_default() {
                // Another program may draw beside the board.
                if (0..WIDTH).contains(x) && (0..HEIGHT).contains(y) {
                    cells[*y as usize][*x as usize] = letter;
                }
            }
        }
        cells.into_iter().map(|row| row.into_iter().chain(['\n']).collect::<String>()).collect()
    }
}

impl View for Canvas {
    type Model = Board;
    type Args = ();

    fn attach(cx: &mut ViewContext<'_, Self>, (): &mut ()) -> Self {
        println!("{}", Self::draw(cx.model(), cx.vm()));
        cx.subscribe("board", "changed", Handling::OncePerFrame, |_: &mut Self, cx, ()| {
            println!("{}", Self::draw(cx.model(), cx.vm()));
        });
        Self
    }
}

pub(crate) fn app() -> Result<App, teatime::AppError> {
    App::builder::<Board>("org.example.whiteboard").model::<Stroke>().build()
}

fn parse(line: &str) -> Option<Vec<Point>> {
    let point = |text: &str| {
        let (x, y) = text.split_once(',')?;
        Some(Point { x: x.parse().ok()?, y: y.parse().ok()? })
    };
    line.split_whitespace().map(point).collect()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let reflector = local_reflector()?;
    let mut session =
        Session::<Canvas>::join(Config::new(app()?, "office", &())?, reflector.url())?;
    let remote = session.remote();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            let points = parse(&line);
            let _ = remote.run(move |session| {
                let sent = match (line.as_str(), points) {
                    ("undo", _) => session.publish("board", "undo", &()),
                    (_, Some(points)) => session.publish("board", "draw", &points),
                    _ => return eprintln!("invalid points {line:?}: expected such as 2,1 8,5"),
                };
                if let Err(why) = sent {
                    eprintln!("{why}");
                }
            });
        }
        remote.run(Session::leave)
    });
    session.run(|_, _| ())?;
    Ok(())
}
