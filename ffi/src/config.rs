//! Configs: which session to join, and how.

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

/// Which session to join, and how. Free it with tea_config_free. A session that has been joined with it does not need
/// the handle.
#[derive(Debug)]
pub struct tea_config {
    _opaque: [u8; 0],
}

/// A config, which C may still change.
pub(crate) struct Config(Mutex<teatime::Config>);

held!(Config, tea_config, "tea_config");

impl Config {
    /// A config of this library.
    pub(crate) fn new(mut config: teatime::Config) -> Self {
        config.agent = concat!("teatime-c/", env!("CARGO_PKG_VERSION")).to_owned();
        Self(Mutex::new(config))
    }

    /// The config as it stands, if everything in it is within its limits.
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

/// Makes the config of a session of this app in the room with this name (1 to 128 bytes). The options are the argument
/// of the root model's init. Clients that differ in app, name or options are in different sessions. From now on no
/// model can be added to the app. The caller frees the config with tea_config_free.
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
        let made = teatime::Config::with_encoded_options(app, name, &options)?;
        made.check()?;
        config.set(Config::new(made).hand_out()?);
        Ok(())
    })
}

/// Sets the password (1 to 1,024 bytes). It encrypts the session end to end: only clients that know it can join, and the
/// reflector cannot read events or state.
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

/// Sets the view data: what the models of all participants learn about this client when it joins and exits.
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

/// Sets certificates (PEM) that the client trusts at wss:// addresses, in addition to those that the platform trusts:
/// the certificate of a company, or of a reflector that signed its own.
///
/// tea_session_join and tea_blobs_new check them and fail with TEA_STATUS_BAD_CERTIFICATES.
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

/// Sets the directory for a file of evidence if this client diverges. `teatime diff` reads such files. An empty text
/// means no directory, which is the default. The directory is made if it does not exist, and holds at most 32 files;
/// the oldest are deleted. Only this user can read the files. Their content is plain, even if the session has a
/// password.
///
/// TEA_EVENT_KIND_DIVERGED reports whether the file could be written.
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

/// Sets the ticks per second, 1 to 60; the default is 20. The first client of a session decides. Future messages run at
/// most one tick late.
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

/// Sets the name and version of the program, at most 64 bytes. The reflector logs it.
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

/// The id of the session that the config describes. With a password this takes some 30 ms of processor time.
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

/// The badge of the session that the config describes. Two people who see the same badge are in the same session. With a
/// password this takes some 30 ms of processor time.
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

/// Frees a config. Fails with TEA_STATUS_WRONG_HANDLE the second time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_config_free(config: *mut tea_config) -> tea_status {
    boundary(|| Config::free(config))
}
