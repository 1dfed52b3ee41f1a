//! What C holds of Rust's objects: numbers that look like pointers.
//!
//! A handle is a key of one table and is never dereferenced. So a freed handle, one of another
//! type and any other nonsense are told from a good one, always; and an object that one thread
//! frees while another uses it goes when that use ends.

use std::ptr::without_provenance_mut;
use std::sync::LazyLock;

use sharded_slab::{Config as SlabConfig, Slab};

use crate::out::null;
use crate::status::{Failure, Result, tea_status};

/// Everything that C can hold.
pub(crate) enum Object {
    App(crate::app::App),
    Blobs(crate::blobs::Blobs),
    Config(crate::config::Config),
    Reflector(crate::reflector::Reflector),
    Session(Box<crate::session::Session>),
    Transfer(crate::blobs::Transfer),
    Value(crate::value::Value),
}

/// The one global of this library: without it a freed handle could not be told from a live one.
static OBJECTS: LazyLock<Slab<Object, Layout>> = LazyLock::new(Slab::new_with_config::<Layout>);

/// How the bits of a handle are used: fewer objects than usual, so that a place must be used anew
/// some 30 million times (500 times on 32 bits) before an old handle looks like a new one.
struct Layout;

impl SlabConfig for Layout {
    const INITIAL_PAGE_SIZE: usize = 32;
    /// For each thread 32 objects, then twice as many, and so on.
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

    /// Gives the object to C.
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

    /// Ends an object; it goes when nobody uses it any more.
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
    let message = format!("this is no {name}, or it was freed");
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
