//! `teatime doctor`: what stands in the way, on this machine and on the way to a reflector.

mod machine;
mod way;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use teatime::{JoinLink, LinkError, reflector_address};

use crate::joining::{certificates, listen_address};
use crate::terminal::{Failure, print};

/// Flags of `teatime doctor`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Also check the way to this reflector: its address, such as wss://host, or a join link. By default the reflector on
    /// this machine, if one runs.
    #[arg(value_name = "REFLECTOR")]
    reflector: Option<String>,
    /// The address at which a reflector or a chat is to listen.
    #[arg(long, value_name = "HOST[:PORT]", default_value = "127.0.0.1:9090", value_parser = listen_address)]
    listen: SocketAddr,
    /// Also check this directory of a reflector that is not running.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Also trust these certificates (PEM), besides those of this machine.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Print one JSON object for each finding, and one for all of them.
    #[arg(long)]
    pub(crate) json: bool,
}

/// How good a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Ok,
    Warning,
    Failed,
}

impl Status {
    const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

/// What one check has found.
#[derive(Debug)]
struct Finding {
    /// The name of the check, for programs.
    check: &'static str,
    status: Status,
    found: String,
    /// What the user can do.
    remedy: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, status: Status::Ok, found: found.into(), remedy: None }
    }

    fn warning(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        let (status, remedy) = (Status::Warning, Some(remedy.into()));
        Self { check, status, found: found.into(), remedy }
    }

    fn failed(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { status: Status::Failed, ..Self::warning(check, found, remedy) }
    }

    fn to_json(&self) -> Value {
        let Self { check, status, found, remedy } = self;
        json!({
            "event": "finding", "check": check, "status": status.name(), "found": found, "remedy": remedy,
        })
    }

    fn to_text(&self) -> String {
        let line = format!("{:8} {:12} {}", self.status.name(), self.check, self.found);
        let remedy = self.remedy.as_deref().map(|remedy| format!("\n{:21} {remedy}", "->"));
        line + &remedy.unwrap_or_default()
    }
}

/// Prints findings as they come, and counts them.
struct Report {
    json: bool,
    counts: [u32; 3],
}

impl Report {
    fn add(&mut self, finding: &Finding) -> Result<(), Failure> {
        self.counts[finding.status as usize] += 1;
        if self.json {
            return print(&finding.to_json());
        }
        let text = crate::terminal::printable_lines(&finding.to_text());
        print(&text.trim_end())
    }

    /// # Errors
    /// [`Failure::Reported`] if a check has failed.
    fn end(&self) -> Result<(), Failure> {
        let [ok, warnings, failed] = self.counts;
        if self.json {
            print(&json!({ "event": "doctor", "ok": ok, "warnings": warnings, "failed": failed }))?;
        } else {
            print(&format_args!("{ok} ok, {warnings} warnings, {failed} failed"))?;
        }
        if failed > 0 { Err(Failure::Reported) } else { Ok(()) }
    }
}

/// Checks everything.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { listen, data, ca, json, .. } = arguments;
    let certificates = ca.as_deref().map(certificates).transpose()?;
    let given = arguments.reflector.as_deref().map(address_of).transpose();
    let given = given.map_err(|error| Failure::usage(&error))?;
    let mut report = Report { json: *json, counts: [0; 3] };
    report.add(&machine::version())?;
    let (note, local) = machine::note();
    report.add(&note)?;
    report.add(&machine::evidence())?;
    if let Some(data) = data {
        report.add(&machine::data(data))?;
    }
    report.add(&machine::listen(*listen, local.as_deref()))?;
    report.add(&machine::addresses())?;
    report.add(&machine::descriptors())?;
    report.add(&machine::terminal())?;
    if let Some(url) = given.or(local) {
        for finding in way::findings(&url, certificates.as_deref())? {
            report.add(&finding)?;
        }
    }
    report.end()
}

/// The address in what the user gives.
fn address_of(text: &str) -> Result<String, LinkError> {
    match text.trim_start().to_ascii_lowercase().starts_with("teatime") {
        true => text.parse().map(|link: JoinLink| link.reflector),
        false => reflector_address(text),
    }
}
