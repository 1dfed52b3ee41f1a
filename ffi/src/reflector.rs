//! Reflectors that this process hosts.

use teatime::server::{Server, ServerConfig};
use teatime::{LocalReflector, local_reflector};

use crate::boundary::boundary;
use crate::handle::{Held, held};
use crate::out::Check;
use crate::status::{Failure, Result, tea_status};
use crate::text::tea_str;

/// A reflector: the server that gives the events of sessions one order. Free it with tea_reflector_free, which also stops
/// it if this process hosts it.
#[derive(Debug)]
pub struct tea_reflector {
    _opaque: [u8; 0],
}

/// A reflector, and its address.
pub(crate) struct Reflector {
    url: String,
    /// Dropping it stops it.
    _host: Host,
}

enum Host {
    Server { _server: Server },
    Local { _local: LocalReflector },
}

impl Reflector {
    /// Hosts a reflector that listens at an address.
    pub(crate) fn start(listen: &str) -> Result<Self> {
        let server = Server::bind(listen, ServerConfig::default())
            .map_err(|error| Failure::new(tea_status::Io, format!("{listen}: {error}")))?;
        Ok(Self { url: server.url(), _host: Host::Server { _server: server } })
    }

    /// Finds or hosts the reflector of this machine.
    pub(crate) fn local() -> Result<Self> {
        let local = local_reflector().map_err(|error| {
            let message = format!("cannot find or host a reflector on this machine: {error}");
            Failure::new(tea_status::Io, message)
        })?;
        Ok(Self { url: local.url().to_owned(), _host: Host::Local { _local: local } })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

held!(Reflector, tea_reflector, "tea_reflector");

/// Hosts a reflector in this process, on threads of its own. It listens at an address such as 127.0.0.1:9090; port 0 picks
/// a free port. The caller frees it with tea_reflector_free.
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

/// Finds the reflector of this machine. If none runs, this process hosts one that only this machine can reach. Programs
/// that call this at the same time agree on one reflector. The caller frees it with tea_reflector_free.
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

/// The address of the reflector, such as ws://127.0.0.1:9090: pass it to tea_session_join. It is valid until the reflector
/// is freed.
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

/// Frees a reflector, and stops it if this process hosts it. Its clients are disconnected with TEA_STATUS_GOING_AWAY and
/// try again. Takes up to two seconds. Fails with TEA_STATUS_WRONG_HANDLE the second time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_reflector_free(reflector: *mut tea_reflector) -> tea_status {
    boundary(|| Reflector::free(reflector))
}
