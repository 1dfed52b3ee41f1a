//! A join counts for one connection, and for exactly what it says.

use teatime_wire::{
    Challenge, ChannelBinding, ClientMessage, Digest, Join, Proof, PublicKey, Resume, SecretKey,
    SessionId, Signature, WireError, is_proven,
};

use crate::ids::hex;

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

    pub(crate) fn sign(&self, join: &Join<'_>, challenge: &Challenge) -> Proof {
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

/// Whether the join counts with these signatures.
fn counts(join: &Join<'_>, proof: &Proof, challenge: &Challenge) -> bool {
    is_proven(&ClientMessage::Join(join.clone(), Box::new(*proof)).encode(), challenge)
}

/// The fields of a join, put together by hand, with those of a later version behind them.
pub(crate) fn fields(join: &Join<'_>, token: &[u8], later: &[u8], count: u8) -> Vec<u8> {
    let bin = |bytes: &[u8; 32]| [&[0xc4, 32][..], bytes].concat();
    let password = join.password_key.map_or(vec![0xc0], |key| bin(&key.0));
    let agent = [&[0xa0 | join.agent.len() as u8], join.agent.as_bytes()].concat();
    let attempt = u8::try_from(join.attempt).expect("it is small");
    assert!(join.view_data.is_none() && join.resume.is_none());
    [
        // An array of eleven, or more.
        &[0x9b + count][..],
        &bin(&join.program.0),
        &bin(&join.name.0),
        &[join.version as u8],
        &bin(&join.view_key.0),
        &password,
        &[0xc0, join.ticks_per_second as u8, attempt, 0xc0],
        &agent,
        token,
        later,
    ]
    .concat()
}

/// What both keys sign, put together by hand.
pub(crate) fn statement(fields: &[u8], challenge: &Challenge) -> Vec<u8> {
    let channel = challenge.channel.map_or(vec![0], |binding| [&[1], &binding.0[..]].concat());
    [&b"teatime v1 join"[..], &challenge.nonce.0, &channel, fields].concat()
}

#[test]
fn both_keys_sign_what_the_protocol_page_says() {
    for channel in [None, Some(ChannelBinding([9; 32]))] {
        let (challenge, keys) = (challenge(channel), keys());
        let join = join(&keys);
        let proof = keys.sign(&join, &challenge);
        let signed = statement(&fields(&join, &[0xc0], &[], 0), &challenge);
        assert_eq!(proof.view, keys.view.sign(&signed));
        assert_eq!(proof.password, keys.password.as_ref().map(|key| key.sign(&signed)));
        assert!(counts(&join, &proof, &challenge));
    }
}

#[test]
fn a_join_counts_only_with_every_field_as_it_was_signed() {
    let (challenge, keys) = (challenge(None), keys());
    let right = join(&keys);
    let proof = keys.sign(&right, &challenge);
    let other = SecretKey::of_view(&[7; 32]).public();
    let changed = [
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
        assert!(!counts(&join, &proof, &challenge), "{join:?}");
    }
    let other = Join { protocol: 2, ..right };
    let frame = ClientMessage::Join(other, Box::new(proof)).encode();
    assert!(matches!(ClientMessage::decode(&frame), Err(WireError::Version(2))));
}

/// A join as a later version sends it: with a token, further fields that are signed, and further fields that are not.
#[test]
fn a_join_of_a_later_version_is_read_and_every_byte_that_is_signed_counts() {
    let (challenge, keys) = (challenge(None), keys());
    let known = join(&keys);
    let token = [&[0xc4, 3][..], b"key"].concat();
    let signed = fields(&known, &token, &hex("92 01 c0 a2 68 69"), 2);
    let said = statement(&signed, &challenge);
    let password = keys.password.as_ref().expect("there is a password");
    let signatures = [keys.view.sign(&said).0, password.sign(&said).0];
    let frame = |signed: &[u8]| {
        let length = u8::try_from(signed.len()).expect("it is short");
        let [view, password] = signatures.map(|signature| [&[0xc4, 64][..], &signature].concat());
        [&[0x92, 1, 0x95, 1, 0xc4, length], signed, &view, &password, &[0x07]].concat()
    };
    let proof = Proof { view: Signature(signatures[0]), password: Some(Signature(signatures[1])) };
    let read = frame(&signed);
    let expected = ClientMessage::Join(known, Box::new(proof));
    assert_eq!(ClientMessage::decode(&read).expect("it is longer"), expected);
    assert!(is_proven(&read, &challenge));
    for at in 0..signed.len() {
        let mut changed = signed.clone();
        changed[at] ^= 1;
        assert!(!is_proven(&frame(&changed), &challenge), "byte {at}");
    }
    // The same fields in another encoding are not what was signed.
    let rest = fields(&join(&keys), &token, &[], 0);
    let wide = [&[0xdc, 0, 11][..], &rest[1..]].concat();
    assert!(ClientMessage::decode(&frame(&wide)).is_ok() && !is_proven(&frame(&wide), &challenge));
}

#[test]
fn a_token_is_bytes_within_its_limit_and_a_join_is_not_shorter_than_today() {
    let proof = Proof { view: Signature([1; 64]), password: Some(Signature([2; 64])) };
    let join = join(&keys());
    let frame = |fields: &[u8]| {
        let length = u16::try_from(fields.len()).expect("it is short").to_be_bytes();
        let signature = |byte: u8| [&[0xc4, 64][..], &[byte; 64]].concat();
        let head = [&[0x92, 1, 0x94, 1, 0xc5], &length[..]].concat();
        [&head[..], fields, &signature(1), &signature(2)].concat()
    };
    let token = |length: u16| {
        let head = [&[0xc5], &length.to_be_bytes()[..]].concat();
        [&head[..], &vec![7; usize::from(length)]].concat()
    };
    let read =
        |token: &[u8]| ClientMessage::decode(&frame(&fields(&join, token, &[], 0))).map(drop);
    let known = ClientMessage::Join(join.clone(), Box::new(proof));
    let without = frame(&fields(&join, &[0xc0], &[], 0));
    assert_eq!(ClientMessage::decode(&without).expect("it is a join"), known);
    assert!(read(&token(4096)).is_ok());
    assert!(matches!(read(&token(4097)), Err(WireError::TooLarge("token"))));
    for other in [&[0x01][..], &[0xa1, b't'], &[0x90]] {
        assert!(read(other).is_err(), "{other:x?}");
    }
    let mut short = fields(&join, &[], &[], 0);
    short[0] = 0x9a;
    assert!(ClientMessage::decode(&frame(&short)).is_err());
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
            assert_eq!(counts(&join, &proof, &shown_on), shown_on == signed_for);
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
    assert!(!counts(&join(&with), &missing, &challenge));
    let right = without.sign(&join(&without), &challenge);
    assert!(counts(&join(&without), &right, &challenge));
    let superfluous = Proof { password: signature, ..right };
    assert!(!counts(&join(&without), &superfluous, &challenge));
    let nothing = Proof { view: Signature([0; 64]), password: None };
    assert!(!counts(&join(&without), &nothing, &challenge));
    // A key for which one signature fits every message.
    let mut neutral = [0; 64];
    neutral[0] = 1;
    let mut key = [0; 32];
    key[0] = 1;
    let trick = Join { view_key: PublicKey(key), ..join(&without) };
    assert!(!counts(&trick, &Proof { view: Signature(neutral), password: None }, &challenge));
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
