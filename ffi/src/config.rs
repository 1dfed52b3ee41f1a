//! Configurations: which session to join.

use parking_lot::Mutex;
use teatime::Badge;

use crate::app::{App, tea_app};
use crate::boundary::boundary;
use crate::handle::{Held, held};
use crate::ids::{tea_badge, tea_session_id};
use crate::out::Check;
use crate::payload::tea_payload;
use crate::status::{Failure, Result, tea_status};
use crate::text::tea_str;

/// Which session to join, and how. Free it with tea_config_free; a session that was joined with it
/// does not need it any more.
pub struct tea_config {
    _opaque: [u8; 0],
}

/// A configuration that is still being changed.
pub(crate) struct Config(Mutex<teatime::Config>);

held!(Config, tea_config, "tea_config");

impl Config {
    /// The configuration as it stands, if everything is within its limits.
    pub(crate) fn checked(&self) -> Result<teatime::Config> {
        let config = self.0.lock().clone();
        config.check()?;
        Ok(config)
    }
}

fn change(
    config: *mut tea_config,
    change: impl FnOnce(&mut teatime::Config) -> Result<()>,
) -> Result<()> {
    Config::with(config, |config| {
        let mut held = config.0.lock();
        let mut changed = held.clone();
        change(&mut changed)?;
        changed.check()?;
        *held = changed;
        Ok(())
    })
}

/// Describes the session of this app in the room with this name (1 to 128 bytes). The options go to
/// the init of the root model; whoever differs in app, name or options is in another session.
///
/// Fails with TEA_STATUS_BAD_APP, TEA_STATUS_BAD_NAME or TEA_STATUS_BAD_OPTIONS.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_config_new(
    app: *const tea_app,
    name: tea_str,
    options: tea_payload,
    config: *mut *mut tea_config,
) -> tea_status {
    boundary(|| {
        let config = config.check("config")?;
        let name = name.get("name")?;
        let options = options.to_msgpack()?;
        let app = App::with(app, App::build)?;
        let mut made = teatime::Config::with_encoded_options(app, name, &options)?;
        made.agent = concat!("teatime-c/", env!("CARGO_PKG_VERSION")).to_owned();
        made.check()?;
        config.set(Config(Mutex::new(made)).hand_out()?);
        Ok(())
    })
}

/// Sets the password (1 to 1024 bytes): everything is encrypted end to end with it, and only those
/// who know it can join.
///
/// Fails with TEA_STATUS_BAD_PASSWORD.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_config_set_password(
    config: *mut tea_config,
    password: tea_str,
) -> tea_status {
    boundary(|| {
        let password = password.get("password")?;
        change(config, |config| {
            config.password = Some(password.to_owned());
            Ok(())
        })
    })
}

/// Sets what all models are told about this view when it joins and exits.
///
/// Fails with TEA_STATUS_BAD_VIEW_DATA.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_config_set_view_data(
    config: *mut tea_config,
    view_data: tea_payload,
) -> tea_status {
    boundary(|| {
        let payload = crate::value::checked(view_data)?;
        let data = payload.to_msgpack().map_err(|e| Failure::new(tea_status::Encoding, e))?;
        change(config, |config| {
            config.view_data = Some(data.to_vec());
            Ok(())
        })
    })
}

/// Sets certificates (PEM) that are trusted to vouch for a reflector at wss://, besides those that
/// the platform trusts: that of a company, or of a reflector that signed its own.
///
/// Whether they can be used shows when a session is joined: TEA_STATUS_BAD_CERTIFICATES.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_config_set_trusted_certificates(
    config: *mut tea_config,
    pem: tea_str,
) -> tea_status {
    boundary(|| {
        let pem = pem.get("pem")?;
        change(config, |config| {
            config.trusted_certificates = Some(pem.as_bytes().to_vec());
            Ok(())
        })
    })
}

/// Sets the directory for a file of evidence if this client diverges, which `teatime diff` reads; an
/// empty text stands for none, as if it had not been said. The directory is made if it is not there, and
/// the oldest of more than 32 files go. Only this user can read them: what they hold is plain, also if the
/// session has a password.
///
/// Whether it can be written shows at TEA_EVENT_KIND_DIVERGED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_config_set_evidence_dir(
    config: *mut tea_config,
    directory: tea_str,
) -> tea_status {
    boundary(|| {
        let directory = directory.get("directory")?;
        change(config, |config| {
            config.evidence_dir = (!directory.is_empty()).then(|| directory.into());
            Ok(())
        })
    })
}

/// Sets how many ticks per second the session's first client asks for, 1 to 60; 20 if not said.
/// Future messages run at most one tick late.
///
/// Fails with TEA_STATUS_BAD_TICKS.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_config_set_ticks_per_second(
    config: *mut tea_config,
    ticks: u16,
) -> tea_status {
    boundary(|| {
        change(config, |config| {
            config.ticks_per_second = ticks;
            Ok(())
        })
    })
}

/// Sets the name and version of the program, for the reflector's log; at most 64 bytes.
///
/// Fails with TEA_STATUS_BAD_AGENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_config_set_agent(
    config: *mut tea_config,
    agent: tea_str,
) -> tea_status {
    boundary(|| {
        let agent = agent.get("agent")?;
        change(config, |config| {
            config.agent = agent.to_owned();
            Ok(())
        })
    })
}

/// The identity of the session that this describes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_config_session_id(
    config: *const tea_config,
    id: *mut tea_session_id,
) -> tea_status {
    boundary(|| {
        let id = id.check("id")?;
        Config::with(config, |config| {
            id.set(tea_session_id { bytes: config.0.lock().session_id().0 });
            Ok(())
        })
    })
}

/// The badge of the session that this describes: two people who see the same badge are in the same
/// session.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_config_badge(
    config: *const tea_config,
    badge: *mut tea_badge,
) -> tea_status {
    boundary(|| {
        let badge = badge.check("badge")?;
        Config::with(config, |config| {
            let id = config.0.lock().session_id();
            badge.set(Badge::of(&id).into());
            Ok(())
        })
    })
}

/// Frees a configuration. Freeing it twice is TEA_STATUS_WRONG_HANDLE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_config_free(config: *mut tea_config) -> tea_status {
    boundary(|| Config::free(config))
}
