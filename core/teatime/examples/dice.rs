//! Dice that all participants see rolling: future messages and random numbers. Run it in two terminals, and press Enter.
//!
//! A model has no clock and no random generator of its own. Both come from the session, so the dice roll for the same time
//! and land on the same side for all participants.

use teatime::{
    App, Config, Cx, Duration, FutureHandle, Handling, Session, TypedTopic, View, ViewContext,
    handlers, local_reflector, model,
};

/// A participant throws this many dice.
pub(crate) const THROW: TypedTopic<u8> = TypedTopic::new("dice", "throw");
/// The table looks different.
const CHANGED: TypedTopic<()> = TypedTopic::new("dice", "changed");

/// How long the dice roll, in session time.
const ROLL: Duration = Duration::from_secs(1);
/// A table without a roll for this long is cleared.
const IDLE: Duration = Duration::from_secs(30);

#[model(id = "dice", version = 1)]
struct Dice {
    rolling: bool,
    /// What lies on the table.
    sides: Vec<u8>,
    rolls: u64,
    /// The message that will clear the table.
    clearing: Option<FutureHandle>,
}

#[handlers]
impl Dice {
    fn init(cx: &mut Cx<Self>, _options: &()) -> Self {
        cx.subscribe_topic(&THROW, Self::throw);
        Self { rolling: false, sides: Vec::new(), rolls: 0, clearing: None }
    }

    fn throw(&mut self, cx: &mut Cx<Self>, dice: u8) {
        if self.rolling || !(1..=6).contains(&dice) {
            return;
        }
        self.rolling = true;
        cx.future(ROLL).call(Self::land, dice);
        if let Some(clearing) = self.clearing.take() {
            cx.cancel(clearing);
        }
        cx.publish_topic(&CHANGED, ());
    }

    fn land(&mut self, cx: &mut Cx<Self>, dice: u8) {
        self.rolling = false;
        self.rolls += 1;
        // The cast fits: the number is from 1 to 6.
        self.sides = (0..dice).map(|_| cx.random_range(1, 6) as u8).collect();
        self.clearing = Some(cx.future(IDLE).call(Self::clear, ()));
        cx.publish_topic(&CHANGED, ());
    }

    fn clear(&mut self, cx: &mut Cx<Self>) {
        self.sides.clear();
        self.clearing = None;
        cx.publish_topic(&CHANGED, ());
    }
}

struct Table;

impl Table {
    fn draw(dice: &Dice) {
        match (dice.rolling, dice.sides.as_slice()) {
            (true, _) => println!("the dice roll …"),
            (false, []) => println!("the table is empty: press Enter to roll"),
            (false, sides) => println!("roll {}: {sides:?}", dice.rolls),
        }
    }
}

impl View for Table {
    type Model = Dice;
    type Args = ();

    fn attach(cx: &mut ViewContext<'_, Self>, (): &mut ()) -> Self {
        Self::draw(cx.model());
        cx.subscribe_topic(&CHANGED, Handling::Queued, |_: &mut Self, cx, ()| {
            Self::draw(cx.model());
        });
        Self
    }
}

pub(crate) fn app() -> Result<App, teatime::AppError> {
    App::builder::<Dice>("org.example.dice").build()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let reflector = local_reflector()?;
    let mut session = Session::<Table>::join(Config::new(app()?, "table", &())?, reflector.url())?;
    let remote = session.remote();
    std::thread::spawn(move || {
        for _ in std::io::stdin().lines() {
            let _ = remote.run(|session| {
                if let Err(why) = session.publish_topic(&THROW, &2) {
                    eprintln!("{why}");
                }
            });
        }
        remote.run(Session::leave)
    });
    session.run(|_, _| ())?;
    Ok(())
}
