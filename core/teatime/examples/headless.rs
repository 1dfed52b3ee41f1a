//! A participant without a screen: it takes part in a poll, and prints each result as a line of JSON, for a database or
//! another program. `headless URL` joins through a reflector, `headless` through the one of this machine.
//!
//! It uses a [`Driver`]: a session without a view, in a loop of its own.

use std::sync::Arc;
use std::time::Duration;

use teatime::{
    App, Config, ConnectionState, Cx, Driver, Handling, OrderedMap, SessionEvent, handlers,
    local_reflector, model,
};

#[model(id = "poll", version = 1)]
struct Poll {
    votes: OrderedMap<String, u64>,
}

#[handlers]
impl Poll {
    fn init(cx: &mut Cx<Self>, _options: &()) -> Self {
        cx.subscribe("poll", "vote", Self::vote);
        Self { votes: OrderedMap::new() }
    }

    fn vote(&mut self, cx: &mut Cx<Self>, choice: String) {
        *self.votes.get_or_insert_with(choice, || 0) += 1;
        cx.publish("poll", "changed", ());
    }
}

pub(crate) fn app() -> Result<App, teatime::AppError> {
    App::builder::<Poll>("org.example.poll").build()
}

/// The result as JSON.
fn result(poll: &Poll) -> String {
    let counts: Vec<_> =
        poll.votes.iter().map(|(choice, votes)| format!("{choice:?}:{votes}")).collect();
    format!("{{{}}}", counts.join(","))
}

/// Joins, votes once, and prints each result, until `until` is true for one of them.
pub(crate) fn take_part(
    url: &str,
    choice: &str,
    mut until: impl FnMut(&str) -> bool,
) -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::new(app()?, "poll", &())?;
    // A program with a loop of its own would be woken by this function. This one waits in `wait`.
    let mut driver = Driver::join(config, url, Arc::new(|| {}))?;
    let changed = driver.subscribe("poll", "changed", Handling::OncePerFrame);
    loop {
        driver.step(Duration::from_millis(100));
        while let Some(event) = driver.poll_event() {
            match event {
                // The model has caught up. After a reconnect that was not seamless this comes again.
                SessionEvent::ViewReady => drop(driver.publish("poll", "vote", choice)?),
                SessionEvent::Connection(ConnectionState::Failed, Some(why)) => {
                    return Err(why.into());
                }
                SessionEvent::Connection(_, Some(why)) => eprintln!("{why}"),
                SessionEvent::Fault(fault) => eprintln!("{fault}"),
                _ => {}
            }
        }
        while let Some(delivery) = driver.poll_delivery(Handling::OncePerFrame) {
            let poll = driver.vm().and_then(|vm| vm.root::<Poll>());
            if let Some(poll) = poll.filter(|_| delivery.subscription == changed) {
                let result = result(poll);
                println!("{result}");
                if until(&result) {
                    driver.leave();
                    return Ok(());
                }
            }
        }
        driver.wait(driver.next_due().unwrap_or(Duration::from_secs(1)));
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    match std::env::args().nth(1) {
        Some(url) => take_part(&url, "tea", |_| false),
        None => take_part(local_reflector()?.url(), "tea", |_| false),
    }
}
