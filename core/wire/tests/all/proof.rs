//! A join counts for one connection, and for exactly what it says.

use teatime_wire::{
    Challenge, ChannelBinding, ClientMessage, Digest, Join, Proof, PublicKey, Resume, SecretKey,
    SessionId, Signature,
};

/// The secret keys of a client.
pub(crate) struct Keys {
    view: SecretKey,
    password: Option<SecretKey>,
}

pub(crate) fn keys() -> Keys {
    let password = Some(SecretKey::of_password(&[6; 32]));
    Keys { view: SecretKey::of_view(&[5; 32]), password }
}

impl Keys {
    pub(crate) fn prove<'a>(&self, join: Join<'a>, challenge: &Challenge) -> ClientMessage<'a> {
        join.prove(challenge, &self.view, self.password.as_ref())
    }

    fn sign(&self, join: &Join<'_>, challenge: &Challenge) -> Proof {
        match self.prove(join.clone(), challenge) {
            ClientMessage::Join(_, proof) => *proof,
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn challenge(channel: Option<ChannelBinding>) -> Challenge {
    Challenge { nonce: Digest([0x2a; 32]), channel }
}

pub(crate) fn join(keys: &Keys) -> Join<'static> {
    Join {
        protocol: 1,
        program: Digest([0xaa; 32]),
        name: Digest([0xdd; 32]),
        version: 3,
        view_key: keys.view.public(),
        password_key: keys.password.as_ref().map(SecretKey::public),
        view_data: None,
        ticks_per_second: 20,
        attempt: 1,
        resume: None,
        agent: "test",
    }
}

/// What both keys sign, put together by hand.
pub(crate) fn statement(join: &Join<'_>, challenge: &Challenge) -> Vec<u8> {
    let bin = |bytes: &[u8; 32]| [&[0xc4, 32][..], bytes].concat();
    let channel = challenge.channel.map_or(vec![0], |binding| [&[1], &binding.0[..]].concat());
    let password = join.password_key.map_or(vec![0xc0], |key| bin(&key.0));
    let agent = [&[0xa0 | join.agent.len() as u8], join.agent.as_bytes()].concat();
    let attempt = u8::try_from(join.attempt).expect("it is small");
    assert!(join.view_data.is_none() && join.resume.is_none());
    [
        &b"teatime v1 join"[..],
        &challenge.nonce.0,
        &channel,
        // An array of eleven.
        &[0x9b, join.protocol as u8],
        &bin(&join.program.0),
        &bin(&join.name.0),
        &[join.version as u8],
        &bin(&join.view_key.0),
        &password,
        &[0xc0, join.ticks_per_second as u8, attempt, 0xc0],
        &agent,
    ]
    .concat()
}

#[test]
fn both_keys_sign_what_the_protocol_page_says() {
    for channel in [None, Some(ChannelBinding([9; 32]))] {
        let (challenge, keys) = (challenge(channel), keys());
        let join = join(&keys);
        let proof = keys.sign(&join, &challenge);
        let signed = statement(&join, &challenge);
        assert_eq!(proof.view, keys.view.sign(&signed));
        assert_eq!(proof.password, keys.password.as_ref().map(|key| key.sign(&signed)));
        assert!(join.is_proven(&proof, &challenge));
    }
}

#[test]
fn a_join_counts_only_with_every_field_as_it_was_signed() {
    let (challenge, keys) = (challenge(None), keys());
    let right = join(&keys);
    let proof = keys.sign(&right, &challenge);
    let other = SecretKey::of_view(&[7; 32]).public();
    let changed = [
        Join { protocol: 2, ..right.clone() },
        Join { program: Digest([1; 32]), ..right.clone() },
        Join { name: Digest([1; 32]), ..right.clone() },
        Join { version: 4, ..right.clone() },
        Join { view_key: other, ..right.clone() },
        Join { password_key: Some(other), ..right.clone() },
        Join { password_key: None, ..right.clone() },
        Join { view_data: Some(b""), ..right.clone() },
        Join { ticks_per_second: 21, ..right.clone() },
        Join { attempt: 2, ..right.clone() },
        Join {
            resume: Some(Resume { timeline: 0, seq: 0, chain: Digest([0; 32]) }),
            ..right.clone()
        },
        Join { agent: "tests", ..right.clone() },
    ];
    for join in changed {
        assert!(!join.is_proven(&proof, &challenge), "{join:?}");
    }
}

#[test]
fn a_join_counts_only_on_its_own_connection() {
    let bindings = [None, Some(ChannelBinding([9; 32])), Some(ChannelBinding([8; 32]))];
    let nonces = [Digest([0x2a; 32]), Digest([0x2b; 32])];
    let all = || bindings.iter().flat_map(|channel| nonces.map(|nonce| (nonce, *channel)));
    let (keys, mut right) = (keys(), 0);
    let join = join(&keys);
    for (nonce, channel) in all() {
        let signed_for = Challenge { nonce, channel };
        let proof = keys.sign(&join, &signed_for);
        for (nonce, channel) in all() {
            let shown_on = Challenge { nonce, channel };
            assert_eq!(join.is_proven(&proof, &shown_on), shown_on == signed_for);
            right += usize::from(shown_on == signed_for);
        }
    }
    assert_eq!(right, 6);
}

#[test]
fn a_missing_or_superfluous_signature_proves_nothing() {
    let (challenge, with) = (challenge(None), keys());
    let without = Keys { password: None, ..keys() };
    let signature = with.sign(&join(&with), &challenge).password;
    assert!(signature.is_some());
    let missing = Proof { password: None, ..with.sign(&join(&with), &challenge) };
    assert!(!join(&with).is_proven(&missing, &challenge));
    let right = without.sign(&join(&without), &challenge);
    assert!(join(&without).is_proven(&right, &challenge));
    let superfluous = Proof { password: signature, ..right };
    assert!(!join(&without).is_proven(&superfluous, &challenge));
    let nothing = Proof { view: Signature([0; 64]), password: None };
    assert!(!join(&without).is_proven(&nothing, &challenge));
    // A key for which one signature fits every message.
    let mut neutral = [0; 64];
    neutral[0] = 1;
    let mut key = [0; 32];
    key[0] = 1;
    let trick = Join { view_key: PublicKey(key), ..join(&without) };
    assert!(!trick.is_proven(&Proof { view: Signature(neutral), password: None }, &challenge));
}

#[test]
fn the_session_and_the_room_follow_from_what_a_join_proves() {
    let keys = keys();
    let join = join(&keys);
    let key = join.password_key.expect("there is a password").0;
    let named = [[0xdd; 32], key].concat();
    let id = blake3::derive_key("teatime v1 room id with password", &named);
    assert_eq!(join.room().id, Digest(id));
    let bytes = [&id[..], &[0, 0, 0, 3], &[0xaa; 32]].concat();
    let session = blake3::derive_key("teatime v1 session id", &bytes);
    assert_eq!(join.session(), SessionId(session));
    // Another password is another session, and so is the same one under another name.
    let open = Join { password_key: None, ..join.clone() };
    assert_eq!(open.room().id.0, blake3::derive_key("teatime v1 room id", &[0xdd; 32]));
    let elsewhere = Join { name: Digest([0xee; 32]), ..join.clone() };
    let sessions = [&join, &open, &elsewhere].map(Join::session);
    assert!(sessions[0] != sessions[1] && sessions[0] != sessions[2]);
    let view = blake3::derive_key("teatime v1 view id", &join.view_key.0);
    assert_eq!(join.view_id().0, view[..16]);
}
