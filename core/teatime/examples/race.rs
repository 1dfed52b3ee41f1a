//! A race: each participant drives laps, and all see the same board. Run it in two terminals.

use teatime::{
    App, Config, Cx, Handling, OrderedMap, Session, View, ViewContext, ViewId, handlers,
    local_reflector, model,
};

/// The model: a plain struct. Every participant has the same one.
#[model(id = "race", version = 1)]
struct Race {
    laps: OrderedMap<ViewId, u32>,
}

#[handlers]
impl Race {
    fn init(cx: &mut Cx<Self>, _options: &()) -> Self {
        cx.subscribe("race", "lap", Self::lap);
        Self { laps: OrderedMap::new() }
    }

    fn lap(&mut self, cx: &mut Cx<Self>) {
        let Some(driver) = cx.sender() else { return };
        *self.laps.get_or_insert_with(driver, || 0) += 1;
        cx.publish("race", "changed", ());
    }
}

/// The view: it belongs to this program. It reads the model, and cannot change it.
struct Board;

impl View for Board {
    type Model = Race;
    type Args = ();

    fn attach(cx: &mut ViewContext<'_, Self>, (): &mut ()) -> Self {
        println!("You drive {}. Press Enter for a lap.", cx.view_id());
        cx.subscribe("race", "changed", Handling::OncePerFrame, |_: &mut Self, cx, ()| {
            for (driver, laps) in cx.model().laps.iter() {
                println!("{driver}: {laps}");
            }
        });
        Self
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let app = App::builder::<Race>("org.example.race").build()?;
    let config = Config::new(app, "lobby", &())?;
    let reflector = local_reflector()?; // The first program hosts it, the others find it.
    let mut session = Session::<Board>::join(config, reflector.url())?;
    let remote = session.remote();
    std::thread::spawn(move || {
        for _ in std::io::stdin().lines() {
            let _ = remote.run(|session| {
                if let Err(why) = session.publish("race", "lap", &()) {
                    eprintln!("{why}");
                }
            });
        }
        remote.run(Session::leave)
    });
    Ok(session.run(|_, _| ())?)
}
