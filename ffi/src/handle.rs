//! Handles, by which C holds Rust's objects: numbers that look like pointers.
//!
//! A handle is a key of one table, and is never dereferenced. So the library always detects a freed handle, a handle
//! of another type and any other pointer. If one thread frees an object while another uses it, the object is dropped
//! when that use ends.

use std::ptr::without_provenance_mut;
use std::sync::LazyLock;

use sharded_slab::{Config as SlabConfig, Slab};

use crate::out::null;
use crate::status::{Failure, Result, tea_status};

/// All objects that C can hold.
pub(crate) enum Object {
    App(crate::app::App),
    Blobs(crate::blobs::Blobs),
    Config(crate::config::Config),
    Reflector(crate::reflector::Reflector),
    Session(Box<crate::session::Session>),
    Transfer(crate::blobs::Transfer),
    Value(crate::value::Value),
}

/// The only global of this library. It is needed to detect freed handles.
static OBJECTS: LazyLock<Slab<Object, Layout>> = LazyLock::new(Slab::new_with_config::<Layout>);

/// The use of a handle's bits: fewer objects than by default. So a place must be used again about 30 million times (500
/// times on 32 bits) before an old handle looks like a new one.
struct Layout;

impl SlabConfig for Layout {
    const INITIAL_PAGE_SIZE: usize = 32;
    /// For each thread: 32 objects, then twice that, and so on.
    const MAX_PAGES: usize = if usize::BITS == 64 { 20 } else { 8 };
    const MAX_THREADS: usize = if usize::BITS == 64 { 4096 } else { 256 };
}

/// An object that C can hold.
pub(crate) trait Held: Sized {
    /// The opaque type of C.
    type Opaque;
    /// Its name for messages.
    const NAME: &'static str;

    fn of(object: &Object) -> Option<&Self>;
    fn wrap(self) -> Object;

    /// Hands the object to C.
    fn hand_out(self) -> Result<*mut Self::Opaque> {
        let key = OBJECTS.insert(self.wrap());
        let key = key.ok_or_else(|| Failure::new(tea_status::Io, "too many objects"))?;
        // No key is NULL.
        Ok(without_provenance_mut(key.wrapping_add(1)))
    }

    /// Runs something with the object behind a handle.
    fn with<R>(handle: *const Self::Opaque, run: impl FnOnce(&Self) -> Result<R>) -> Result<R> {
        let key = key(handle, Self::NAME)?;
        let entry = OBJECTS.get(key).ok_or_else(|| wrong(Self::NAME))?;
        run(Self::of(&entry).ok_or_else(|| wrong(Self::NAME))?)
    }

    /// Frees an object. It is dropped when the last use of it ends.
    fn free(handle: *mut Self::Opaque) -> Result<()> {
        let key = key(handle, Self::NAME)?;
        let right_type = OBJECTS.get(key).is_some_and(|entry| Self::of(&entry).is_some());
        if right_type && OBJECTS.remove(key) { Ok(()) } else { Err(wrong(Self::NAME)) }
    }
}

fn key<T>(handle: *const T, name: &str) -> Result<usize> {
    handle.addr().checked_sub(1).ok_or_else(|| null(name))
}

#[cold]
fn wrong(name: &str) -> Failure {
    let message = format!("not a {name} handle, or already freed");
    Failure::new(tea_status::WrongHandle, message)
}

macro_rules! held {
    ($rust:ident, $c:ident, $name:literal) => {
        impl crate::handle::Held for $rust {
            type Opaque = $c;
            const NAME: &'static str = $name;

            fn of(object: &crate::handle::Object) -> Option<&Self> {
                match object {
                    crate::handle::Object::$rust(held) => Some(held),
                    _ => None,
                }
            }

            fn wrap(self) -> crate::handle::Object {
                crate::handle::Object::$rust(self.into())
            }
        }
    };
}
pub(crate) use held;
