//! The listener for the operator. What happens at the public one does not touch it: it has a thread and slots of its own.

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::callers::Callers;
use super::handshake::{self, Method, Page};
use super::slots::Slots;

/// The most connections. More than probes need; the oldest ends if there are more.
const MOST: usize = 64;

/// How long a request and its answer may take.
const LIMIT: Duration = Duration::from_secs(2);

/// Answers until told to stop.
pub(super) async fn run(listener: TcpListener, callers: Callers, mut stop: watch::Receiver<bool>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let slots = Slots::new(MOST, MOST);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let Ok((stream, _)) = accepted else {
            slots.end_oldest();
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Some(slot) = slots.take(None) else { continue };
        let (callers, id) = (callers.clone(), slot.id());
        let task = tokio::task::spawn_local(async move {
            // A connection that breaks off, or is too slow, needs no answer.
            let _ = timeout(LIMIT, serve(stream, &callers)).await;
            drop(slot);
        });
        slots.set_task(id, task.abort_handle());
    }
}

async fn serve(mut stream: TcpStream, callers: &Callers) -> io::Result<()> {
    stream.set_nodelay(true)?;
    handshake::answer_page(&mut stream, callers, page).await
}

/// All pages. More can come here.
fn page(path: &str, method: Method) -> Page {
    match path {
        "/healthz" => Page::new("200 OK", "ok\n", method),
        _ => Page::new("404 Not Found", "pages: /healthz\n", method),
    }
}
