//! The secret keys of the tests' clients, found by the public keys in their joins.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use teatime_wire::{Challenge, ClientMessage, Join, PublicKey, SecretKey};

static KEYS: Mutex<BTreeMap<PublicKey, SecretKey>> = Mutex::new(BTreeMap::new());

fn remember(key: SecretKey) -> PublicKey {
    let public = key.public();
    KEYS.lock().unwrap_or_else(PoisonError::into_inner).insert(public, key);
    public
}

/// The key of a view with this secret.
pub(crate) fn view_key(secret: [u8; 32]) -> PublicKey {
    remember(SecretKey::of_view(&secret))
}

/// The key of the password of this number.
pub(crate) fn password_key(number: u8) -> PublicKey {
    remember(SecretKey::of_password(&[number; 32]))
}

/// The message that joins on a connection with this challenge.
pub(crate) fn prove<'a>(join: Join<'a>, challenge: &Challenge) -> ClientMessage<'a> {
    let keys = KEYS.lock().unwrap_or_else(PoisonError::into_inner);
    let password = join.password_key.map(|key| &keys[&key]);
    let view = &keys[&join.view_key];
    join.prove(challenge, view, password)
}
