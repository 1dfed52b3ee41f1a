//! Reflectors hosted in this process.

use teatime::server::{Server, ServerConfig};
use teatime::{LocalReflector, local_reflector};

use crate::boundary::boundary;
use crate::handle::{Held, held};
use crate::out::Check;
use crate::status::{Failure, Result, tea_status};
use crate::text::tea_str;

/// A reflector: the server that gives the events of sessions one order. Free it with
/// tea_reflector_free; that ends it if this process hosts it.
pub struct tea_reflector {
    _opaque: [u8; 0],
}

/// A reflector, and its address.
pub(crate) struct Reflector {
    url: String,
    /// Ends with this.
    _host: Host,
}

enum Host {
    Server { _server: Server },
    Local { _local: LocalReflector },
}

impl Reflector {
    /// Hosts one that listens at an address.
    pub(crate) fn start(listen: &str) -> Result<Self> {
        let server = Server::bind(listen, ServerConfig::default())
            .map_err(|error| Failure::new(tea_status::Io, format!("{listen}: {error}")))?;
        Ok(Self { url: server.url(), _host: Host::Server { _server: server } })
    }

    /// Finds or hosts the one of this machine.
    pub(crate) fn local() -> Result<Self> {
        let local = local_reflector().map_err(|error| {
            let message = format!("no reflector can be found or hosted here: {error}");
            Failure::new(tea_status::Io, message)
        })?;
        Ok(Self { url: local.url().to_owned(), _host: Host::Local { _local: local } })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

held!(Reflector, tea_reflector, "tea_reflector");

/// Hosts a reflector in this process, on threads of its own. It listens at an address such as
/// 127.0.0.1:9090; port 0 picks a free one.
///
/// Fails with TEA_STATUS_IO.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_reflector_start(
    listen: tea_str,
    reflector: *mut *mut tea_reflector,
) -> tea_status {
    boundary(|| {
        let reflector = reflector.check("reflector")?;
        reflector.set(Reflector::start(listen.get("listen")?)?.hand_out()?);
        Ok(())
    })
}

/// Finds the reflector of this machine; if there is none this process hosts it, reachable from
/// this machine only. Programs that do this at the same time agree on one.
///
/// Fails with TEA_STATUS_IO.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_reflector_local(reflector: *mut *mut tea_reflector) -> tea_status {
    boundary(|| {
        let reflector = reflector.check("reflector")?;
        reflector.set(Reflector::local()?.hand_out()?);
        Ok(())
    })
}

/// The address by which sessions are joined, such as ws://127.0.0.1:9090. It lives until the
/// reflector is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_reflector_url(
    reflector: *const tea_reflector,
    url: *mut tea_str,
) -> tea_status {
    boundary(|| {
        let url = url.check("url")?;
        Reflector::with(reflector, |reflector| {
            url.set(reflector.url().into());
            Ok(())
        })
    })
}

/// Ends a reflector, if this process hosts it: its clients are told to come back later. Takes up to
/// two seconds. Freeing it twice is TEA_STATUS_WRONG_HANDLE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_reflector_free(reflector: *mut tea_reflector) -> tea_status {
    boundary(|| Reflector::free(reflector))
}
