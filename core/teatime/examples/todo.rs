//! A shared to-do list in the terminal. Run it in two terminals, and type `add buy milk`, `done 1`, or `clear`.
//!
//! `todo ROOM PASSWORD` names a room and encrypts it.

use serde::{Deserialize, Serialize};
use teatime::{
    App, Config, Cx, Handling, OrderedMap, PublishError, Receipt, Session, TypedTopic, View,
    ViewContext, handlers, local_reflector, model,
};

// What both sides publish and hear. The compiler checks what each topic carries.
pub(crate) const ADD: TypedTopic<String> = TypedTopic::new("todo", "add");
pub(crate) const DONE: TypedTopic<u32> = TypedTopic::new("todo", "done");
pub(crate) const CLEAR: TypedTopic<()> = TypedTopic::new("todo", "clear");
const CHANGED: TypedTopic<()> = TypedTopic::new("todo", "changed");

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Item {
    text: String,
    done: bool,
}

#[model(id = "todo", version = 1)]
struct Todo {
    /// By the numbers that users see. A number is never used again.
    items: OrderedMap<u32, Item>,
    last: u32,
}

#[handlers]
impl Todo {
    fn init(cx: &mut Cx<Self>, _options: &()) -> Self {
        cx.subscribe_topic(&ADD, Self::add);
        cx.subscribe_topic(&DONE, Self::done);
        cx.subscribe_topic(&CLEAR, Self::clear);
        Self { items: OrderedMap::new(), last: 0 }
    }

    fn add(&mut self, cx: &mut Cx<Self>, text: String) {
        self.last += 1;
        self.items.insert(self.last, Item { text, done: false });
        cx.publish_topic(&CHANGED, ());
    }

    /// Two participants may tick the same item: the second changes nothing.
    fn done(&mut self, cx: &mut Cx<Self>, number: u32) {
        let Some(item) = self.items.get_mut(&number).filter(|item| !item.done) else { return };
        item.done = true;
        cx.publish_topic(&CHANGED, ());
    }

    /// Removes what is done.
    fn clear(&mut self, cx: &mut Cx<Self>) {
        self.items.retain(|_, item| !item.done);
        cx.publish_topic(&CHANGED, ());
    }
}

struct List;

impl List {
    fn draw(todo: &Todo) {
        println!("-- {} items", todo.items.len());
        for (number, item) in todo.items.iter() {
            println!("{} {number}. {}", if item.done { "[x]" } else { "[ ]" }, item.text);
        }
    }
}

impl View for List {
    type Model = Todo;
    type Args = ();

    fn attach(cx: &mut ViewContext<'_, Self>, (): &mut ()) -> Self {
        Self::draw(cx.model());
        cx.subscribe_topic(&CHANGED, Handling::OncePerFrame, |_: &mut Self, cx, ()| {
            Self::draw(cx.model());
        });
        Self
    }
}

/// What a user has typed.
enum Command {
    Add(String),
    Done(u32),
    Clear,
}

impl Command {
    fn parse(line: &str) -> Result<Self, String> {
        let (word, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        match (word, rest.trim()) {
            ("add", text) if !text.is_empty() => Ok(Self::Add(text.to_owned())),
            ("done", number) => number
                .parse()
                .map(Self::Done)
                .map_err(|_| format!("invalid number {number:?}: expected one of the list")),
            ("clear", "") => Ok(Self::Clear),
            _ => Err("expected: add TEXT, done NUMBER, or clear".to_owned()),
        }
    }

    fn publish(&self, session: &mut Session<List>) -> Result<Receipt, PublishError> {
        match self {
            Self::Add(text) => session.publish_topic(&ADD, text),
            Self::Done(number) => session.publish_topic(&DONE, number),
            Self::Clear => session.publish_topic(&CLEAR, &()),
        }
    }
}

pub(crate) fn app() -> Result<App, teatime::AppError> {
    App::builder::<Todo>("org.example.todo").build()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let room = arguments.next().unwrap_or_else(|| "home".to_owned());
    let config = Config::new(app()?, &room, &())?.password(arguments.next().as_deref());
    let reflector = local_reflector()?;
    let mut session = Session::<List>::join(config, reflector.url())?;
    let remote = session.remote();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            match Command::parse(&line) {
                Ok(command) => {
                    let _ = remote.run(move |session| {
                        if let Err(why) = command.publish(session) {
                            eprintln!("{why}");
                        }
                    });
                }
                Err(why) => eprintln!("{why}"),
            }
        }
        remote.run(Session::leave)
    });
    // A broken connection comes back by itself. The user should know meanwhile.
    session.run(|_, event| {
        if let Some(notice) = event.notice() {
            eprintln!("{notice}");
        }
    })?;
    Ok(())
}
