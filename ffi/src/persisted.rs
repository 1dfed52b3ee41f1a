//! Data of the root model that outlives a version of the app.

use std::ffi::c_void;

use teatime::persisted::{ForeignMigration, ForeignPersistence, PersistedData};

use crate::app::{App, tea_app};
use crate::boundary::boundary;
use crate::cx::{tea_cx, with};
use crate::handle::Held;
use crate::model::collect;
use crate::out::{Check, null};
use crate::payload::{format_of, tea_payload};
use crate::status::{Failure, Result, tea_status};
use crate::text::too_long;
use crate::value::{Value, checked, tea_value};

/// A migration of persisted data from one version of its layout to the next. It must give the same result on every
/// participant. The rules of tea_model apply.
#[repr(C)]
#[derive(Debug)]
pub struct tea_migration {
    /// The version that it migrates from. It migrates to the version of the next migration in the list; the last one
    /// migrates to the version of the app.
    pub from: u32,
    /// Puts the migrated data into a value. `old` is MessagePack of the older version. Any result but 0 is a
    /// failure: then the session does not begin, and the persisted data stays as it is.
    pub migrate: Option<
        unsafe extern "C" fn(
            old: tea_payload,
            migrated: *mut tea_value,
            user_data: *mut c_void,
        ) -> i32,
    >,
    /// Passed to migrate.
    pub user_data: *mut c_void,
}

/// The argument of a migration.
struct UserData(*mut c_void);

// SAFETY: the documentation of `tea_app_persists` demands user data that any thread may use.
unsafe impl Send for UserData {}
// SAFETY: as above.
unsafe impl Sync for UserData {}

impl UserData {
    fn get(&self) -> *mut c_void {
        self.0
    }
}

fn migration(step: &tea_migration) -> Result<(u32, Box<ForeignMigration>)> {
    let migrate = step.migrate.ok_or_else(|| null("migrate"))?;
    let user_data = UserData(step.user_data);
    let run = move |old: &[u8]| {
        collect("the migration", |migrated| {
            // SAFETY: called as the documentation of `tea_migration` says.
            unsafe { migrate(tea_payload::msgpack(old), migrated, user_data.get()) }
        })
    };
    Ok((step.from, Box::new(run)))
}

/// Declares that the root model persists data with tea_cx_persist, and the version of its layout: 1 or more, and a higher
/// one with each change. A session of a later version of the app, in the same room with the same password, begins with
/// this data. The migrations, in the order of their versions, turn it into the layout of the later version. The list is
/// copied. The functions and their user_data must stay valid as long as the app and everything made from it, and any
/// thread may call them.
///
/// Fails with TEA_STATUS_BAD_APP if a config was made from the app already. tea_config_new checks that the versions rise.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_app_persists(
    app: *mut tea_app,
    version: u32,
    migrations: *const tea_migration,
    count: usize,
) -> tea_status {
    boundary(|| {
        let steps = match (migrations.is_null(), count) {
            (_, 0) => &[],
            (true, _) => return Err(null("migrations")),
            _ if count > isize::MAX as usize / size_of::<tea_migration>() => {
                return Err(too_long("migrations"));
            }
            // SAFETY: the caller of every export promises valid pointers.
            _ => unsafe { std::slice::from_raw_parts(migrations, count) },
        };
        let migrations = steps.iter().map(migration).collect::<Result<_>>()?;
        let persistence = ForeignPersistence { version, migrations };
        App::with(app, |app| app.add(|builder| builder.foreign_persistence(persistence)))
    })
}

/// Migrates data that some version of the app has persisted to the layout of this one, to test migrations. From now on
/// nothing can be added to the app. The caller frees the value with tea_value_free.
///
/// Fails with TEA_STATUS_MIGRATION, and with TEA_STATUS_NOT_DECLARED if the app persists nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_app_migrate(
    app: *const tea_app,
    version: u32,
    payload: tea_payload,
    format: i32,
    migrated: *mut *mut tea_value,
) -> tea_status {
    boundary(|| {
        let migrated = migrated.check("migrated")?;
        let format = format_of(format)?;
        let data = PersistedData { version, bytes: payload.to_whole_msgpack()?.to_vec().into() };
        let app = App::with(app, App::build)?;
        let new = app
            .migrate(&data)?
            .ok_or_else(|| Failure::new(tea_status::NotDeclared, "the app persists nothing"))?;
        migrated.set(value(&new.bytes, format)?);
        Ok(())
    })
}

fn value(msgpack: &[u8], format: crate::payload::tea_format) -> Result<*mut tea_value> {
    Value::of_payload(&teatime::Payload::from_msgpack(msgpack), format)?.hand_out()
}

/// Persists data of the root model. It replaces the data that was persisted before, and a later version of the app begins
/// with it. At most 1 MiB. It may contain handles of blobs, as texts.
///
/// The data is part of the model's state. The reflector stores it within seconds, encrypted if there is a password.
/// TEA_EVENT_KIND_PERSISTED reports that; tea_session_has_unpersisted says whether it is still to come. The data is not
/// stored
/// - if all participants leave before, until one of them comes back;
/// - while the reflector cannot store it, for example because its disk is full;
/// - if the room is full of what other versions, or builds, of the app have persisted.
///
/// TEA_EVENT_KIND_NOT_PERSISTED reports the last two.
///
/// Fails with TEA_STATUS_NOT_ROOT, TEA_STATUS_NOT_DECLARED, TEA_STATUS_PERSISTED_TOO_LARGE or TEA_STATUS_ENCODING. The
/// data that was persisted before then stays.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_persist(cx: *mut tea_cx, payload: tea_payload) -> tea_status {
    boundary(|| {
        let payload = checked(payload)?;
        let bytes = payload.to_msgpack().map_err(|e| Failure::new(tea_status::Encoding, e))?;
        with(cx, |cx| Ok(cx.persist(&bytes)?))
    })
}

/// The data that an earlier version of the app has persisted, migrated to the layout of this one. Call it in the init of
/// the root model. The caller frees the value with tea_value_free.
///
/// Fails with TEA_STATUS_NOT_FOUND if no earlier version has persisted data, and in every other callback. Fails with
/// TEA_STATUS_NOT_DECLARED if tea_app_persists was not called; do not ignore that, or the session begins without the data
/// of its users.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_persisted(
    cx: *const tea_cx,
    format: i32,
    persisted: *mut *mut tea_value,
) -> tea_status {
    boundary(|| {
        let persisted = persisted.check("persisted")?;
        let format = format_of(format)?;
        let found = with(cx, |cx| Ok(cx.persisted()?))?;
        let found = found.ok_or_else(|| {
            Failure::new(tea_status::NotFound, "no earlier version has persisted data")
        })?;
        persisted.set(value(&found, format)?);
        Ok(())
    })
}
