//! What the doctor checks on the way to a reflector.

use teatime::probe::{Probe, Step, probe};

use super::Finding;
use crate::terminal::Failure;

/// Clocks that differ by more than this make logs hard to compare, and certificates look out of date.
const CLOCK_DIFFERENCE_S: i64 = 60;

/// Goes there. Each step is a finding. Those behind one that fails are left out.
pub(super) fn findings(url: &str, certificates: Option<&[u8]>) -> Result<Vec<Finding>, Failure> {
    let probe = probe(url, certificates).map_err(|error| Failure::usage(&error))?;
    let Probe { done, failed, clock_lead_s } = probe;
    let done = done.into_iter().map(|(step, found)| {
        let found = if step == Step::Address { without_token(&found).to_owned() } else { found };
        Finding::ok(name(step), found)
    });
    let mut findings: Vec<_> = done.collect();
    if let Some((step, why)) = failed {
        findings.push(Finding::failed(name(step), why, remedy(step)));
    } else {
        findings.push(clock(clock_lead_s));
    }
    Ok(findings)
}

/// The path of an address may be a token, which is a secret.
fn without_token(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    let end = url[host..].find('/').map_or(url.len(), |at| host + at);
    &url[..end]
}

const fn name(step: Step) -> &'static str {
    match step {
        Step::Address => "address",
        Step::Name => "dns",
        Step::Connection => "tcp",
        Step::Encryption => "tls",
        Step::WebSocket => "websocket",
        Step::Protocol => "protocol",
        Step::RoundTrip => "round_trip",
    }
}

const fn remedy(step: Step) -> &'static str {
    match step {
        Step::Address => "give an address such as ws://host:9090",
        Step::Name => "check the spelling of the host, and the name server of this machine",
        Step::Connection => {
            "check that the reflector runs, that it listens at an address that this machine reaches (--listen 0.0.0.0:9090), \
             and that no firewall closes its port"
        }
        Step::Encryption => {
            "use ws:// if the reflector has no certificate; trust its certificate with --ca FILE; check the date of this \
             machine"
        }
        Step::WebSocket => {
            "check port and path of the address, and wss:// or ws://; a proxy must pass WebSockets on"
        }
        Step::Protocol => "use the same version of Teatime on both sides",
        Step::RoundTrip => "try again: the network loses too much",
    }
}

fn clock(lead_s: Option<i64>) -> Finding {
    const CHECK: &str = "clock";
    match lead_s {
        None => Finding::ok(CHECK, "the reflector does not tell the time"),
        Some(lead) if lead.abs() <= CLOCK_DIFFERENCE_S => {
            Finding::ok(CHECK, format!("that of the reflector differs by {} s", lead.abs()))
        }
        Some(lead) => {
            let where_to = if lead > 0 { "ahead of" } else { "behind" };
            let found = format!("that of the reflector is {} s {where_to} this one", lead.abs());
            let remedy = "set both clocks by the network: certificates and logs depend on them";
            Finding::warning(CHECK, found, remedy)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    #[test]
    fn a_clock_counts_as_wrong_from_a_minute_on_in_both_directions() {
        let of = |lead| (clock(lead).status, clock(lead).found);
        assert_eq!(of(Some(-60)).0, Status::Ok);
        let (status, found) = of(Some(61));
        assert_eq!((status, found.contains("61 s ahead")), (Status::Warning, true));
        let (status, found) = of(Some(-3_600));
        assert_eq!((status, found.contains("3600 s behind")), (Status::Warning, true));
        assert_eq!(of(None).0, Status::Ok);
    }

    #[test]
    fn a_token_is_not_shown() {
        assert_eq!(without_token("ws://127.0.0.1:9/secret"), "ws://127.0.0.1:9");
        assert_eq!(without_token("wss://host"), "wss://host");
    }
}
