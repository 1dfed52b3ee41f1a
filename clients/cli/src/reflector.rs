//! `teatime reflector`: the server.

use std::io::Write;
use std::net::ToSocketAddrs;
use std::sync::mpsc;

use clap::Args;
use teatime::server::{Server, ServerConfig};

use crate::Failure;

/// Flags of `teatime reflector`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Where to listen; port 0 picks a free one. 0.0.0.0 lets other machines in.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9090")]
    listen: String,
    /// Print the address as a line of JSON.
    #[arg(long)]
    json: bool,
    /// Threads that serve sessions; 0 stands for one per processor, four at most.
    #[arg(long, value_name = "N", default_value_t = 0)]
    workers: usize,
}

/// Serves until SIGINT or SIGTERM.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    crate::start_logging("info");
    let listen = &arguments.listen;
    if let Err(error) = listen.to_socket_addrs() {
        return Err(Failure::Usage(format!("--listen {listen:?} is no HOST:PORT: {error}")));
    }
    let config = ServerConfig { workers: arguments.workers, ..ServerConfig::default() };
    let server = Server::bind(listen.as_str(), config)
        .map_err(|error| Failure::Failed(format!("cannot listen at {listen}: {error}")))?;
    let url = server.url();
    let line = if arguments.json {
        serde_json::json!({ "event": "listening", "url": url }).to_string()
    } else {
        format!("Reflecting at {url} — stop with Ctrl-C")
    };
    // Whoever started it need not listen.
    let _ = writeln!(std::io::stdout(), "{line}").and_then(|()| std::io::stdout().flush());
    wait_for_signal()?;
    server.shutdown();
    Ok(())
}

fn wait_for_signal() -> Result<(), Failure> {
    let (sender, stopped) = mpsc::channel();
    ctrlc::set_handler(move || {
        // The receiver is gone only when the program ends.
        let _ = sender.send(());
    })
    .map_err(|error| Failure::Failed(format!("cannot wait for signals: {error}")))?;
    stopped.recv().map_err(|error| Failure::Failed(error.to_string()))
}
