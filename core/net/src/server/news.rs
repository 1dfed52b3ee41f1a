//! What sessions say about the blobs that they need, until the thread that stores blobs takes it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use teatime_wire::{Digest, Holding, SessionId};
use tokio::sync::Notify;

/// Of each session only the newest, so that it takes no more memory than the sessions do, however busy that thread is.
#[derive(Default)]
pub(super) struct News {
    sessions: Mutex<HashMap<(Digest, SessionId), Told>>,
    some: Notify,
}

/// What one session has said, in the order in which the thread takes it.
#[derive(Default)]
struct Told {
    is_gone: bool,
    roots: Option<Holding>,
    rest: Option<Holding>,
}

impl News {
    pub(super) fn tell(&self, room: Digest, session: SessionId, holding: Holding) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let told = sessions.entry((room, session)).or_default();
        match holding {
            Holding::Gone => *told = Told { is_gone: true, ..Told::default() },
            Holding::Snapshot(..) | Holding::Exactly(_) => told.roots = Some(holding),
            // It names the blobs that it refers to already only once: they must not be lost.
            Holding::Awake(mut roots) => {
                if let Some(Holding::Awake(before)) = &mut told.rest {
                    roots.append(before);
                }
                told.rest = Some(Holding::Awake(roots));
            }
            Holding::AtRest => {
                if let Some(Holding::Awake(mut before)) = told.rest.take() {
                    match &mut told.roots {
                        None if before.is_empty() => {}
                        None => told.roots = Some(Holding::Awake(before)),
                        Some(Holding::Awake(roots)) => roots.append(&mut before),
                        Some(_) => {}
                    }
                }
                told.rest = Some(Holding::AtRest);
            }
        }
        drop(sessions);
        self.some.notify_one();
    }

    /// Waits until there is something.
    pub(super) async fn wait(&self) {
        self.some.notified().await;
    }

    /// Takes everything.
    pub(super) fn take(&self) -> Vec<(Digest, SessionId, Holding)> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let all = std::mem::take(&mut *sessions).into_iter();
        let each = |((room, session), told): ((Digest, SessionId), Told)| {
            let gone = told.is_gone.then_some(Holding::Gone);
            let all = gone.into_iter().chain(told.roots).chain(told.rest);
            all.map(move |holding| (room, session, holding))
        };
        all.flat_map(each).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Digest = Digest([1; 32]);
    const SESSION: SessionId = SessionId([2; 32]);

    fn heard(told: impl IntoIterator<Item = Holding>) -> Vec<Holding> {
        let news = News::default();
        told.into_iter().for_each(|holding| news.tell(ROOM, SESSION, holding));
        let heard = news.take().into_iter().map(|(_, _, holding)| holding).collect();
        assert!(news.take().is_empty());
        heard
    }

    #[test]
    fn only_the_newest_of_a_session_is_taken_and_no_reference_is_lost() {
        use Holding::{AtRest, Awake, Gone};
        let root = |number| vec![Digest([number; 32])];
        let snapshot = |roots| Holding::Snapshot(roots, 0);
        let long = (0..100).flat_map(|number| [Awake(vec![]), snapshot(root(number)), AtRest]);
        assert_eq!(heard(long), [snapshot(root(99)), AtRest]);
        assert_eq!(heard([Awake(root(1)), AtRest]), [Awake(root(1)), AtRest]);
        assert_eq!(heard([Awake(root(1)), AtRest, Awake(vec![])]), [Awake(root(1)), Awake(vec![])]);
        assert_eq!(heard([Awake(root(1)), snapshot(root(2)), Gone]), [Gone]);
        assert_eq!(heard([snapshot(root(1)), Gone, Awake(vec![])]), [Gone, Awake(vec![])]);
        let both = heard([Awake(root(1)), snapshot(root(2))]);
        assert_eq!(both, [snapshot(root(2)), Awake(root(1))], "too much is safe");
    }
}
