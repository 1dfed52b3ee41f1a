//! The way of answers back to the reflector that asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use teatime_reflector::storage::{Answer, Completion, StorageError, Ticket};

/// The answers that one reflector has not taken yet.
#[derive(Default)]
pub(crate) struct Mailbox {
    contents: Mutex<Contents>,
}

#[derive(Default)]
struct Contents {
    answers: VecDeque<Completion>,
    waker: Option<Waker>,
}

impl Mailbox {
    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_waker(&self, waker: Waker) {
        self.contents().waker = Some(waker);
    }

    /// The next answer.
    pub(crate) fn take(&self) -> Option<Completion> {
        self.contents().answers.pop_front()
    }

    fn put(&self, answer: Completion, wakes: bool) {
        let mut contents = self.contents();
        // If there are answers already, the reflector is awake, or was woken because of them.
        let waker = contents.waker.clone().filter(|_| wakes && contents.answers.is_empty());
        contents.answers.push_back(answer);
        drop(contents);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The duty to answer one request. If it is dropped, the answer is that the storage is closed: so every
/// request is answered exactly once, even when a thread panics.
pub(crate) struct Reply {
    ticket: Ticket,
    mailbox: Arc<Mailbox>,
    is_answered: bool,
}

impl Reply {
    pub(crate) fn new(ticket: Ticket, mailbox: Arc<Mailbox>) -> Self {
        Self { ticket, mailbox, is_answered: false }
    }

    /// Answers, and wakes the reflector.
    pub(crate) fn answer(mut self, result: Result<Answer, StorageError>) {
        self.put(result, true);
    }

    /// Answers a reflector that takes its answers next: it is not woken.
    pub(crate) fn answer_here(mut self, result: Result<Answer, StorageError>) {
        self.put(result, false);
    }

    fn put(&mut self, result: Result<Answer, StorageError>, wakes: bool) {
        self.is_answered = true;
        self.mailbox.put((self.ticket, result), wakes);
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if !self.is_answered {
            self.put(Err(StorageError::Io("the storage is closed".into())), true);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn every_reply_answers_once_also_when_it_is_dropped() {
        let (mailbox, wakes) = (Arc::new(Mailbox::default()), Arc::new(Count::default()));
        mailbox.set_waker(wakes.clone().into());
        let reply = |ticket| Reply::new(Ticket(ticket), mailbox.clone());
        drop(reply(1));
        reply(2).answer(Ok(Answer::Done));
        let answers: Vec<_> = std::iter::from_fn(|| mailbox.take()).collect();
        let closed = Err(StorageError::Io("the storage is closed".into()));
        assert_eq!(answers, [(Ticket(1), closed), (Ticket(2), Ok(Answer::Done))]);
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1, "one wake for answers taken together");
        reply(3).answer_here(Ok(Answer::Done));
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
    }
}
