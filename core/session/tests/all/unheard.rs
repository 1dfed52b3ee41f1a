//! Events that no model hears.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use crate::client::config;
use crate::support::Peer;

/// Where the log of a test goes.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no thread panics with it").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_topic_that_no_model_hears_is_warned_about_once_and_one_that_is_heard_never() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .without_time()
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        let mut peer = Peer::live(config());
        for topic in [("sum", "add"), ("sum", "ad"), ("sum", "ad"), ("some", "add")] {
            peer.client.publish(0, topic.0, topic.1, &1).expect("it is sent all the same");
        }
    });
    let log = log.0.lock().expect("no thread panics with it");
    let warnings: Vec<_> = std::str::from_utf8(&log)
        .expect("a log is text")
        .lines()
        .filter(|line| line.contains("WARN"))
        .collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("scope=\"sum\" event=\"ad\""), "{warnings:?}");
    assert!(warnings[1].contains("scope=\"some\" event=\"add\""), "{warnings:?}");
}
