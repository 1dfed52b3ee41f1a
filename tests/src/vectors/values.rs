//! Canonical MessagePack, and how values are read.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use serde_json::{Value, json};
use teatime::{OrderedMap, OrderedSet, Payload, ViewId, ViewInfo, canonical, to_bytes};

use super::board::{Add, Mood};
use super::text::{bits, bytes, expect_equal, hex, list, optional_hex, text};

#[derive(Clone, Serialize, Deserialize)]
struct Unit;

#[derive(Clone, Serialize, Deserialize)]
struct Newtype(u16);

/// A type by its name: what it looks like, and how the code reads it and writes it again.
struct Type {
    name: &'static str,
    shape: Value,
    reads: fn(&[u8]) -> Option<Vec<u8>>,
}

/// Reads a payload as this type, and writes it canonically.
fn read<T: DeserializeOwned + Serialize + Clone + 'static>(msgpack: &[u8]) -> Option<Vec<u8>> {
    let value: T = Payload::from_msgpack(msgpack).get().ok()?;
    to_bytes(&value).ok()
}

fn kind<T: DeserializeOwned + Serialize + Clone + 'static>(
    name: &'static str,
    shape: Value,
) -> Type {
    Type { name, shape, reads: read::<T> }
}

fn types() -> Vec<Type> {
    let add = json!({ "struct": [["number", "u32"], ["text", "str"]] });
    let named = json!({ "struct": [["name", "str"], ["level", "f64"]] });
    let split = json!({ "tuple": ["i16", "f32"] });
    let mood =
        json!({ "enum": [["Calm", null], ["Loud", "u8"], ["Split", split], ["Named", named]] });
    let view =
        json!({ "struct": [["view_id", { "id": 16 }], ["view_data", { "option": "bytes" }]] });
    vec![
        kind::<bool>("bool", json!("bool")),
        kind::<u8>("u8", json!("u8")),
        kind::<u32>("u32", json!("u32")),
        kind::<u64>("u64", json!("u64")),
        kind::<i8>("i8", json!("i8")),
        kind::<i64>("i64", json!("i64")),
        kind::<u128>("u128", json!("u128")),
        kind::<f32>("f32", json!("f32")),
        kind::<f64>("f64", json!("f64")),
        kind::<String>("String", json!("str")),
        kind::<char>("char", json!("char")),
        kind::<ByteBuf>("ByteBuf", json!("bytes")),
        kind::<()>("()", json!("unit")),
        kind::<Unit>("Unit", json!("unit struct")),
        kind::<Newtype>("Newtype", json!("u16")),
        kind::<Option<u8>>("Option<u8>", json!({ "option": "u8" })),
        kind::<Vec<u8>>("Vec<u8>", json!({ "list": "u8" })),
        kind::<(u8, String)>("(u8, String)", json!({ "tuple": ["u8", "str"] })),
        kind::<OrderedMap<u8, bool>>("OrderedMap<u8, bool>", json!({ "map": ["u8", "bool"] })),
        kind::<OrderedSet<u8>>("OrderedSet<u8>", json!({ "set": "u8" })),
        kind::<BTreeMap<u8, bool>>("BTreeMap<u8, bool>", json!({ "sorted map": ["u8", "bool"] })),
        kind::<ViewId>("ViewId", json!({ "id": 16 })),
        kind::<ViewInfo>("ViewInfo", view),
        kind::<Add>("Add", add),
        kind::<Mood>("Mood", mood),
    ]
}

/// MessagePack to read, by the name of the type. Spaces are for people.
const READ: [(&str, &[&str]); 25] = [
    ("bool", &["c2", "c3", "01", "c0"]),
    (
        "u8",
        &[
            "7f",
            "cc80",
            "ccff",
            "cd00ff",
            "cd0100",
            "cf0000000000000005",
            "d005",
            "d0ff",
            "ff",
            "ca40a00000",
            "c3",
            "a135",
        ],
    ),
    (
        "u32",
        &["ce00010000", "ceffffffff", "cf00000000ffffffff", "cf0000000100000000", "d2ffffffff"],
    ),
    (
        "u64",
        &[
            "cf7fffffffffffffff",
            "cfffffffffffffffff",
            "d37fffffffffffffff",
            "d3ffffffffffffffff",
            "00 00",
        ],
    ),
    ("i8", &["e0", "d080", "d0df", "d1ff80", "d1ff7f", "7f", "cc7f", "cc80"]),
    (
        "i64",
        &[
            "d3 8000000000000000",
            "d2 80000000",
            "d1 8000",
            "cf 7fffffffffffffff",
            "cf 8000000000000000",
            "05",
        ],
    ),
    (
        "u128",
        &[
            "c410 000102030405060708090a0b0c0d0e0f",
            "05",
            "cfffffffffffffffff",
            "ff",
            "c40105",
            "a10f",
        ],
    ),
    (
        "f32",
        &[
            "ca3fc00000",
            "cb3ff8000000000000",
            "cb3fb999999999999a",
            "05",
            "ff",
            "ca7fc00001",
            "caffc00000",
            "cb7ff8000000000001",
            "ca80000000",
        ],
    ),
    (
        "f64",
        &[
            "cb3fb999999999999a",
            "ca3fc00000",
            "05",
            "ff",
            "cfffffffffffffffff",
            "cbfff8000000000000",
            "cb8000000000000000",
            "c0",
        ],
    ),
    (
        "String",
        &[
            "a0",
            "a3e29893",
            "d903e29893",
            "da0003e29893",
            "c403e29893",
            "a1ff",
            "c401ff",
            "91a161",
            "05",
        ],
    ),
    ("char", &["a161", "a3e29893", "a26162", "a0", "c40161", "05"]),
    ("ByteBuf", &["c400", "c40301ff02", "a3e29893", "a1ff", "930105cc80", "93cd010000", "05"]),
    ("()", &["c0", "90", "80", "05"]),
    ("Unit", &["90", "c0", "80", "9105"]),
    ("Newtype", &["05", "cd0100", "9105"]),
    ("Option<u8>", &["c0", "05", "90", "9105"]),
    (
        "Vec<u8>",
        &[
            "90",
            "920102",
            "dc00020102",
            "dd000000020102",
            "c4020102",
            "a2 6162",
            "92 01 c0",
            "93 01 02",
            "80",
        ],
    ),
    ("(u8, String)", &["92 05 a161", "91 05", "93 05 a161 c0", "82 05 a161 06 a162", "c402 0561"]),
    (
        "OrderedMap<u8, bool>",
        &["80", "82 02 c3 01 c2", "83 02 c3 01 c2 02 c2", "de0001 05 c3", "92 05 c3", "90"],
    ),
    ("OrderedSet<u8>", &["93 02 01 02", "c402 0201", "81 01 c0"]),
    ("BTreeMap<u8, bool>", &["82 02 c3 01 c2", "82 01 c3 01 c2"]),
    (
        "ViewId",
        &[
            "c410 000102030405060708090a0b0c0d0e0f",
            "d920 3030303130323033303430353036303730383039306130623063306430653066",
            "d920 3030303130323033303430353036303730383039304130423043304430453046",
            "dc0010 000102030405060708090a0b0c0d0e0f",
            "c40f 000102030405060708090a0b0c0d0e",
            "dc0011 000102030405060708090a0b0c0d0e0f00",
            "d91f 30303031303230333034303530363037303830393061306230633064306530",
        ],
    ),
    (
        "ViewInfo",
        &[
            "92 c410 000102030405060708090a0b0c0d0e0f c0",
            "92 c410 000102030405060708090a0b0c0d0e0f c401c0",
            "91 c410 000102030405060708090a0b0c0d0e0f",
        ],
    ),
    (
        "Add",
        &[
            "92 05 a2 6869",
            "82 a6 6e756d626572 05 a4 74657874 a2 6869",
            "82 a4 74657874 a2 6869 a6 6e756d626572 05",
            "83 a6 6e756d626572 05 a4 74657874 a2 6869 a4 6d6f7265 91c0",
            "82 00 05 01 a2 6869",
            "82 c4 06 6e756d626572 05 a4 74657874 a2 6869",
            "83 00 05 01 a2 6869 05 c0",
            "81 a6 6e756d626572 05",
            "83 a6 6e756d626572 05 a4 74657874 a2 6869 a4 74657874 a2 6869",
            "91 05",
            "93 05 a2 6869 c0",
            "c4 02 05 06",
            "c0",
        ],
    ),
    (
        "Mood",
        &[
            "a4 43616c6d",
            "00",
            "81 a4 43616c6d c0",
            "81 a4 43616c6d 90",
            "81 a4 4c6f7564 05",
            "81 01 05",
            "81 c404 4c6f7564 05",
            "c404 43616c6d",
            "a4 4c6f7564",
            "81 a5 53706c6974 92 fe ca3fc00000",
            "81 a5 53706c6974 93 fe ca3fc00000 c0",
            "81 a5 4e616d6564 92 a161 cb3ff8000000000000",
            "81 a5 4e616d6564 82 a4 6e616d65 a161 a5 6c6576656c cb3ff8000000000000",
            "82 a4 4c6f7564 05 a4 43616c6d c0",
            "91 a4 43616c6d",
            "a5 4f74686572",
            "04",
            "80",
        ],
    ),
];

/// MessagePack without a type: what it is in canonical form.
const ANY: [&str; 16] = [
    "cf0000000000000005",
    "d3ffffffffffffffff",
    "d1007f",
    "ca3fc00000",
    "cbfff8000000000001",
    "da0001 61",
    "a1 ff",
    "c6 00000001 05",
    "dd00000001 dc0000",
    "df00000002 a162 01 a161 02",
    "82 01 c2 01 c3",
    "d4 01 00",
    "05 05",
    "92 05",
    "c1",
    "",
];

pub(super) fn make() -> Value {
    let written = written();
    let read = types().into_iter().zip(READ).flat_map(|(kind, (name, messages))| {
        assert_eq!(kind.name, name, "both lists have one order");
        let shape = kind.shape;
        messages.iter().map(move |digits| {
            let msgpack = unspaced(digits);
            json!({ "type": shape, "msgpack": hex(&msgpack), "canonical": optional_hex((kind.reads)(&msgpack)) })
        })
    });
    let any = ANY.iter().map(|digits| unspaced(digits)).chain([63, 64].map(nested));
    let any = any.map(|msgpack| {
        json!({ "msgpack": hex(&msgpack), "canonical": optional_hex(canonical(&msgpack).ok()) })
    });
    json!({
        "comment": "Canonical MessagePack. `vectors`: values by their type, and their bytes. `read`: MessagePack that is read as a type, and the canonical \
            bytes of what was read, or nil if it is refused. `any`: values without a type.",
        "vectors": written,
        "read": read.collect::<Vec<_>>(),
        "any": any.collect::<Vec<_>>(),
    })
}

/// Lists in lists.
fn nested(levels: usize) -> Vec<u8> {
    [vec![0x91; levels], vec![0xc0]].concat()
}

fn unspaced(digits: &str) -> Vec<u8> {
    bytes(&digits.replace(' ', "").into()).expect("hexadecimal digits")
}

fn written() -> Vec<Value> {
    let one = |kind: Value, value: Value, bytes: Vec<u8>| json!({ "type": kind, "value": value, "canonical": hex(bytes) });
    let mut vectors = Vec::new();
    for value in [0, 127, 128, 255, 256, 65_535, 65_536, u64::from(u32::MAX), 1 << 32, u64::MAX] {
        vectors.push(one(json!("u64"), super::text::number(value), encode(&value)));
    }
    for value in [
        -1,
        -32,
        -33,
        -128,
        -129,
        -32_768,
        -32_769,
        i64::from(i32::MIN),
        i64::MIN,
        0,
        128,
        i64::MAX,
    ] {
        vectors.push(one(json!("i64"), super::text::signed(value), encode(&value)));
    }
    for value in [0.0, -0.0, 1.5, f64::NAN, -f64::NAN, f64::INFINITY, f64::MIN_POSITIVE / 2.0] {
        vectors.push(one(json!("f64"), bits(value), encode(&value)));
        let short = value as f32;
        vectors.push(one(json!("f32"), hex(short.to_bits().to_be_bytes()), encode(&short)));
    }
    for length in [0, 31, 32, 255, 256, 65_536] {
        let value = "a".repeat(length);
        let bytes = serde_bytes::Bytes::new(value.as_bytes());
        vectors.push(one(
            json!("length of str"),
            json!(length),
            encode(&value)[..5.min(1 + length)].to_vec(),
        ));
        vectors.push(one(
            json!("length of bytes"),
            json!(length),
            encode(&bytes)[..5.min(2 + length)].to_vec(),
        ));
        let list = vec![0u8; length];
        vectors.push(one(
            json!("length of list"),
            json!(length),
            encode(&list)[..5.min(1 + length)].to_vec(),
        ));
    }
    vectors.push(one(json!("u128"), json!("18446744073709551616"), encode(&(1u128 << 64))));
    vectors.push(one(json!("i128"), json!("-2"), encode(&-2i128)));
    vectors
}

fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    to_bytes(value).expect("MessagePack can express it")
}

/// Reads every message, and what it has made of it once more: canonical bytes stay as they are.
pub(super) fn check(content: &Value) -> Result<(), String> {
    let types = types();
    for vector in list(&content["read"])? {
        let kind = types.iter().find(|kind| kind.shape == vector["type"]);
        let kind = kind.ok_or_else(|| format!("unknown type {}", vector["type"]))?;
        let read = (kind.reads)(&bytes(&vector["msgpack"])?);
        expect_equal(kind.name, &vector["canonical"], &optional_hex(read.clone()))?;
        if let Some(read) = read {
            let again = (kind.reads)(&read);
            expect_equal(kind.name, &vector["canonical"], &optional_hex(again))?;
        }
    }
    for vector in list(&content["any"])? {
        let read = canonical(&bytes(&vector["msgpack"])?).ok();
        expect_equal("a value", &vector["canonical"], &optional_hex(read))?;
    }
    for vector in list(&content["vectors"])? {
        text(&vector["canonical"])?;
    }
    Ok(())
}
