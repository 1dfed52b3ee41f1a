//! What a seal protects, and against what.

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};

use super::*;

const SESSION: SessionId = SessionId([7; 32]);
const ALICE: ViewId = ViewId([1; 16]);

fn new(session: SessionId, password: Option<&str>) -> Seal {
    Seal::new(session, &RoomKeys::new("app", "room", password))
}

fn sealer(password: &str) -> Seal {
    let mut seal = new(SESSION, Some(password));
    seal.start_connection([9; 16]);
    seal
}

#[test]
fn a_message_opens_only_with_the_same_password_binding_and_session() {
    let sealed = sealer("pw").seal(Binding::Event(ALICE, 3), b"hello");
    let open = |password: &str, binding| {
        sealer(password).open(binding, &mut sealed.clone()).map(<[u8]>::to_vec)
    };
    assert_eq!(open("pw", Binding::Event(ALICE, 3)).as_deref(), Ok(&b"hello"[..]));
    for binding in [
        Binding::Event(ALICE, 4),
        Binding::Event(ViewId([2; 16]), 3),
        Binding::ViewData(ALICE),
        Binding::Snapshot(3),
    ] {
        assert_eq!(open("pw", binding), Err(BrokenSealError));
    }
    assert_eq!(open("wp", Binding::Event(ALICE, 3)), Err(BrokenSealError));
    let mut elsewhere = new(SessionId([8; 32]), Some("pw"));
    assert!(elsewhere.open(Binding::Event(ALICE, 3), &mut sealed.clone()).is_err());
}

#[test]
fn every_changed_bit_and_every_missing_byte_breaks_the_seal() {
    let sealed = sealer("pw").seal(Binding::Event(ALICE, 1), b"hello");
    let mut opener = sealer("pw");
    for bit in 0..sealed.len() * 8 {
        let mut changed = sealed.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(opener.open(Binding::Event(ALICE, 1), &mut changed).is_err(), "bit {bit}");
    }
    for length in 0..sealed.len() {
        let mut short = sealed[..length].to_vec();
        assert!(opener.open(Binding::Event(ALICE, 1), &mut short).is_err(), "{length} bytes");
    }
}

#[test]
fn cached_subkeys_give_standard_xchacha20poly1305() {
    let mut seal = sealer("pw");
    seal.seal(Binding::Event(ALICE, 1), b"first");
    let sealed = seal.seal(Binding::Event(ALICE, 2), b"second");
    let key = seal.keys.as_ref().map(|keys| keys.payload.key).expect("the session has a password");
    let nonce = <[u8; 24]>::try_from(&sealed[..24]).expect("a nonce has 24 bytes");
    let message = Payload {
        msg: &sealed[24..],
        aad: &associated_data(SESSION, seal.room, Binding::Event(ALICE, 2)),
    };
    let opened = XChaCha20Poly1305::new(&key.into()).decrypt(&nonce.into(), message);
    assert_eq!(opened.expect("the cipher of the library opens it"), b"second");
}

#[test]
fn nonces_do_not_repeat_on_a_connection_nor_on_the_next() {
    let mut seal = sealer("pw");
    let mut nonces: Vec<_> =
        (0..100).map(|n| seal.seal(Binding::Event(ALICE, n), b"")[..24].to_vec()).collect();
    seal.start_connection([10; 16]);
    nonces.extend((0..100).map(|n| seal.seal(Binding::Event(ALICE, n), b"")[..24].to_vec()));
    nonces.sort();
    nonces.dedup();
    assert_eq!(nonces.len(), 200);
}

#[test]
fn equal_snapshots_give_equal_bytes_on_all_clients_and_others_have_other_nonces() {
    let seal = |session, password: &str, state: &[u8]| {
        let mut seal = new(SessionId([session; 32]), Some(password));
        seal.start_connection([session; 16]);
        let hash = *blake3::hash(state).as_bytes();
        seal.seal_snapshot(9, hash, &state.into())
    };
    let sealed = seal(7, "pw", b"state");
    let mut other = sealer("pw");
    other.start_connection([3; 16]);
    let same = other.seal_snapshot(9, *blake3::hash(b"state").as_bytes(), &b"state"[..].into());
    assert_eq!(same, sealed);
    assert_eq!(other.open(Binding::Snapshot(9), &mut sealed.to_vec()), Ok(&b"state"[..]));
    assert!(other.open(Binding::Snapshot(8), &mut sealed.to_vec()).is_err());
    for differs in [seal(7, "pw", b"State"), seal(7, "wp", b"state"), seal(8, "pw", b"state")] {
        assert_ne!(differs[..NONCE], sealed[..NONCE]);
    }
}

#[test]
fn persisted_data_opens_in_all_sessions_of_the_room_under_its_own_version() {
    let sealed = sealer("pw").seal_persisted(2, b"saved");
    let mut elsewhere = new(SessionId([8; 32]), Some("pw"));
    assert_eq!(elsewhere.seal_persisted(2, b"saved"), sealed);
    let open = |seal: &mut Seal, version| {
        seal.open(Binding::Persisted(version), &mut sealed.clone()).map(<[u8]>::to_vec)
    };
    assert_eq!(open(&mut elsewhere, 2).as_deref(), Ok(&b"saved"[..]));
    assert_eq!(open(&mut elsewhere, 3), Err(BrokenSealError));
    assert_eq!(open(&mut sealer("wp"), 2), Err(BrokenSealError));
    let mut other = Seal::new(SESSION, &RoomKeys::new("app", "moor", Some("pw")));
    assert_eq!(open(&mut other, 2), Err(BrokenSealError));
    assert!(!sealed.windows(5).any(|window| window == b"saved"));
    for differs in [
        sealer("pw").seal_persisted(3, b"saved"),
        sealer("pw").seal_persisted(2, b"Saved"),
        sealer("wp").seal_persisted(2, b"saved"),
    ] {
        assert_ne!(differs[..NONCE], sealed[..NONCE]);
    }
}

#[test]
fn the_keys_follow_from_the_password_as_the_protocol_page_says() {
    let master = RoomKeys::new("app", "room", Some("pw"));
    let stretched = {
        let name = blake3::derive_key("teatime v1 room name", b"\x92\xa3app\xa4room");
        let params = argon2::Params::new(19456, 2, 1, Some(32)).expect("the parameters are valid");
        let argon =
            argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
        let mut key = [0; 32];
        argon.hash_password_into(b"pw", &name, &mut key).expect("the salt is long enough");
        key
    };
    let session = [&stretched[..], &SESSION.0].concat();
    let session = blake3::derive_key("teatime v1 session key", &session);
    let seal = Seal::new(SESSION, &master);
    let seed = blake3::derive_key("teatime v1 password key", &stretched);
    let public = ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key().to_bytes();
    assert_eq!(master.password_key().map(|key| key.public().0), Some(public));
    let keys = seal.keys.as_ref().expect("the session has a password");
    assert_eq!(keys.payload.key, blake3::derive_key("teatime v1 payload", &session));
    assert_eq!(keys.persisted.key, blake3::derive_key("teatime v1 persisted", &stretched));
    let name = blake3::derive_key("teatime v1 room name", b"\x92\xa3app\xa4room");
    let both = [name, public].concat();
    assert_eq!(seal.room.0, blake3::derive_key("teatime v1 room id with password", &both));
    let open = RoomKeys::new("app", "room", None);
    assert_eq!(open.id().0, blake3::derive_key("teatime v1 room id", &name));
}

#[test]
fn subkeys_of_many_senders_replace_the_oldest_and_never_move() {
    let mut seal = sealer("pw");
    let mut sealed = Vec::new();
    for sender in 0..=2 * CACHED_SUBKEYS as u64 {
        seal.start_connection(std::array::from_fn(|at| (sender >> (8 * (at % 8))) as u8));
        sealed.push(seal.seal(Binding::Event(ALICE, sender), b"hello"));
    }
    let mut opener = sealer("pw");
    let first = |opener: &Seal| opener.keys.as_ref().map(|keys| keys.payload.recent.as_ptr());
    let mut place = None;
    for (sender, message) in sealed.iter().enumerate().chain(sealed.iter().enumerate().rev()) {
        let mut message = message.clone();
        let opened = opener.open(Binding::Event(ALICE, sender as u64), &mut message);
        assert_eq!(opened, Ok(&b"hello"[..]));
        assert_eq!(*place.get_or_insert(first(&opener)), first(&opener));
    }
    let keys = opener.keys.as_ref().expect("the session has a password");
    assert_eq!(keys.payload.recent.len(), CACHED_SUBKEYS);
}

#[test]
#[should_panic(expected = "starts a connection before it seals")]
fn sealing_without_the_random_bytes_of_a_connection_panics() {
    new(SESSION, Some("pw")).seal(Binding::Event(ALICE, 1), b"hello");
}

#[test]
fn debug_output_shows_no_keys() {
    let seal = sealer("pw");
    let text = format!("{seal:?} {:?}", RoomKeys::new("app", "room", Some("pw")));
    assert!(text.starts_with("Seal { session: 0707"), "{text}");
    assert!(!text.contains("master") && !text.contains("key"), "{text}");
}

#[test]
fn without_a_password_messages_pass_through_unchanged() {
    let mut seal = new(SESSION, None);
    assert_eq!(seal.seal(Binding::Event(ALICE, 1), b"plain"), b"plain");
    assert_eq!(seal.overhead(), 0);
    let snapshot: Arc<[u8]> = b"state".as_slice().into();
    assert_eq!(seal.seal_snapshot(1, [5; 32], &snapshot), snapshot);
    assert_eq!(seal.seal_persisted(1, b"saved"), b"saved");
}
