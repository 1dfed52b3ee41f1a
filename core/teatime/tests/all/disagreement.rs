//! Builds with different code in one session on a real server, because their authors have declared that they are the same.

use std::path::{Path, PathBuf};

use teatime::evidence::{Since, diff, read};
use teatime::server::{Server, ServerConfig};
use teatime::{App, Config, SessionEvent, Side};

use crate::peer::{Peer, until};

/// A model with another handler in each build.
macro_rules! build {
    ($name:ident, $added:expr) => {
        mod $name {
            use teatime::{App, Cx, handlers, model};

            #[model(id = "sum", code = "the same")]
            struct Sum {
                sum: u64,
            }

            #[handlers]
            impl Sum {
                fn init(cx: &mut Cx<Self>, _: &()) -> Self {
                    cx.subscribe("sum", "add", Self::add);
                    Self { sum: 0 }
                }

                fn add(&mut self, _cx: &mut Cx<Self>, number: u64) {
                    self.sum += number + $added;
                }
            }

            pub(super) fn app() -> App {
                App::builder::<Sum>("test.builds").build().expect("it is sound")
            }
        }
    };
}

build!(older, 0);
build!(newer, 1);

fn config(app: App, agent: &str, password: Option<&str>, evidence: &Path) -> Config {
    let config = Config::new(app, "room", &()).expect("nothing can be encoded");
    Config {
        agent: agent.to_owned(),
        evidence_dir: Some(evidence.to_owned()),
        ..config.password(password)
    }
}

fn disagreements(peer: &Peer) -> Vec<&teatime::Disagreement> {
    let events = peer.heard.iter();
    let found = events.filter_map(|event| match event {
        SessionEvent::Disagreement(found) => Some(&**found),
        _ => None,
    });
    found.collect()
}

#[test]
fn all_participants_learn_which_builds_compute_different_things() {
    for (number, password) in [(1, None), (2, Some("secret"))] {
        let evidence = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("builds-{number}"));
        let _ = std::fs::remove_dir_all(&evidence);
        let server = Server::bind("127.0.0.1:0", ServerConfig::default()).expect("a free port");
        let join = |app, agent| Peer::live_of(config(app, agent, password, &evidence), &server);
        let mut all: Vec<_> = (0..number).map(|_| join(older::app(), "chat/1")).collect();
        all.push(join(newer::app(), "chat/2"));
        let mut all: Vec<_> = all.iter_mut().collect();
        let present = all.len();
        until("the joins", &mut all, |all| {
            all.iter().all(|peer| peer.driver.vm().is_some_and(|vm| vm.views().count() == present))
        });
        let receipt = all[0].driver.publish("sum", "add", &5_u64).expect("there is room");
        until("the event", &mut all, |all| all[0].driver.is_applied(receipt));
        all[0].driver.request_vote().expect("it has joined");
        until("the news", &mut all, |all| all.iter().all(|peer| !disagreements(peer).is_empty()));
        let lost = |event: &SessionEvent| matches!(event, SessionEvent::ViewLost);
        for (at, peer) in all.iter().enumerate() {
            assert!(!peer.heard.iter().any(lost), "the participant goes on: {:?}", peer.heard);
            let [found] = disagreements(peer)[..] else { panic!("it comes once") };
            let is_newer = at == number;
            let side = |build: &str| -> &Side {
                let is_it = |side: &&Side| side.builds.iter().any(|one| one.starts_with(build));
                found.sides.iter().find(is_it).expect("both builds are named")
            };
            let (one, other) = (side("chat/1, teatime "), side("chat/2, teatime "));
            assert_eq!((one.participants as usize, other.participants), (number, 1));
            assert_eq!((one.is_own, other.is_own), (!is_newer, is_newer));
            let file = found.file.clone().expect("there is a directory").expect("it was written");
            let evidence = read(&file).expect("it is evidence");
            assert_eq!(evidence.sides, found.sides);
            assert!(found.to_string().contains(&file.display().to_string()), "{found}");
            if is_newer {
                // The other build, which must not know the sources of this one, finds the handler.
                let found =
                    diff(&evidence, Some(&older::app())).expect("both have the same fields");
                let Since::Event(moment) = &found.since else { panic!("{found}") };
                assert_eq!(moment.what, "sum:add");
                assert!(found.to_string().contains("wrong: 6\n  right: 5\n"), "{found}");
            }
        }
    }
}
