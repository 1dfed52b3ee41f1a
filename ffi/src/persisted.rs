//! Data of the root model that outlives the version of the app.

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

/// A step from one version of what an app persists to the next one. It must give the same on every
/// participant, as all that models compute; see tea_model.
#[repr(C)]
pub struct tea_migration {
    /// The version from which it leads: to that of the migration behind it, the last one to the version
    /// of the app.
    pub from: u32,
    /// Puts into a value what becomes of what was persisted in that version, which is MessagePack.
    /// Anything but 0 is a failure: then the session does not begin, and what was persisted stays.
    pub migrate: Option<
        unsafe extern "C" fn(
            old: tea_payload,
            migrated: *mut tea_value,
            user_data: *mut c_void,
        ) -> i32,
    >,
    /// Passed to it.
    pub user_data: *mut c_void,
}

/// What a migration is called with.
struct UserData(*mut c_void);

// SAFETY: the documentation of `tea_app_persists` demands that any thread may use it.
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
            // SAFETY: the documentation of `tea_migration` says how it is called.
            unsafe { migrate(tea_payload::msgpack(old), migrated, user_data.get()) }
        })
    };
    Ok((step.from, Box::new(run)))
}

/// Declares that the root model persists data, by tea_cx_persist, and which version the layout of
/// that data has: 1 or more, and another one whenever it changes. The session of a later version of
/// the app, in the same room with the same password, begins with it; the migrations, in the order of
/// their versions, make of it what the later version knows. They are copied; their functions and
/// user_data must live as long as the app and everything made from it, and any thread may call them.
///
/// Fails with TEA_STATUS_BAD_APP if a configuration was asked of the app already. Whether the versions
/// go up shows when a session is configured.
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
            // SAFETY: the caller of every export promises that its pointers are valid.
            _ => unsafe { std::slice::from_raw_parts(migrations, count) },
        };
        let migrations = steps.iter().map(migration).collect::<Result<_>>()?;
        let persistence = ForeignPersistence { version, migrations };
        App::with(app, |app| app.add(|builder| builder.foreign_persistence(persistence)))
    })
}

/// Makes of data that some version of the app has persisted what this one would: for tests of
/// migrations. From then on nothing can be added to the app. Free the value with tea_value_free.
///
/// Fails with TEA_STATUS_MIGRATION, and with TEA_STATUS_NOT_DECLARED if the app persists nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_app_migrate(
    app: *const tea_app,
    version: u32,
    data: tea_payload,
    format: i32,
    migrated: *mut *mut tea_value,
) -> tea_status {
    boundary(|| {
        let migrated = migrated.check("migrated")?;
        let format = format_of(format)?;
        let data = PersistedData { version, bytes: data.to_whole_msgpack()?.to_vec().into() };
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

/// Persists data, for the root model: it takes the place of what was persisted before, and is what a
/// later version of the app begins with. At most 1 MiB; handles of blobs may stand in it as texts. It
/// is part of the model's state, and is stored by the reflector within seconds, encrypted if there is
/// a password: TEA_EVENT_KIND_PERSISTED tells when, and tea_session_unpersisted whether it is not yet.
/// It is not stored if everybody leaves before that, until somebody comes back; nor as long as the
/// reflector cannot store it, as when its disk is full; nor if two newer versions of the app have
/// persisted something in the room. TEA_EVENT_KIND_NOT_PERSISTED tells the latter two.
///
/// Fails with TEA_STATUS_NOT_ROOT, TEA_STATUS_NOT_DECLARED, TEA_STATUS_PERSISTED_TOO_LARGE or
/// TEA_STATUS_ENCODING. What was persisted before stays then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_persist(cx: *mut tea_cx, data: tea_payload) -> tea_status {
    boundary(|| {
        let payload = checked(data)?;
        let bytes = payload.to_msgpack().map_err(|e| Failure::new(tea_status::Encoding, e))?;
        with(cx, |cx| Ok(cx.persist(&bytes)?))
    })
}

/// What an earlier version of the app has persisted, migrated to the layout of this one: for the init
/// of the root model. Free the value with tea_value_free.
///
/// Fails with TEA_STATUS_NOT_FOUND if there is nothing, as in every callback but that one; with
/// TEA_STATUS_NOT_DECLARED without tea_app_persists: an init that goes on then begins the session
/// without what its users have done.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_persisted(
    cx: *const tea_cx,
    format: i32,
    data: *mut *mut tea_value,
) -> tea_status {
    boundary(|| {
        let data = data.check("data")?;
        let format = format_of(format)?;
        let found = with(cx, |cx| Ok(cx.persisted()?))?;
        let found = found
            .ok_or_else(|| Failure::new(tea_status::NotFound, "nothing was persisted before"))?;
        data.set(value(&found, format)?);
        Ok(())
    })
}
