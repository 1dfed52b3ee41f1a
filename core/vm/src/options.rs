//! The options of an app's root model as join links carry them: with names, and without what is the default.

use rmpv::Value;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::encode;

/// What stands for no options: nil, or a map without any field.
const NONE: [&[u8]; 2] = [&[0xc0], &[0x80]];

impl App {
    /// The root model's options (MessagePack, canonical) if nothing says another: those that it makes of nil, otherwise
    /// of a map without fields. `None` if it accepts neither.
    pub fn default_options(&self) -> Option<Vec<u8>> {
        NONE.iter().find_map(|none| self.canonical_options(none).ok())
    }

    /// Canonical options as a join link carries them: a struct is a map without the fields that have their default.
    /// `None` if all have.
    pub fn options_for_link(&self, options: &[u8]) -> Option<Vec<u8>> {
        let default = self.default_options();
        if default.as_deref() == Some(options) {
            return None;
        }
        let leads_back =
            |bytes: &Vec<u8>| self.canonical_options(bytes).is_ok_and(|back| back == options);
        let named = self.named(options).filter(leads_back).unwrap_or_else(|| options.to_vec());
        let default = default.and_then(|default| read(&self.named(&default)?));
        let (Some(Value::Map(mut fields)), Some(Value::Map(default))) = (read(&named), default)
        else {
            return Some(named);
        };
        fields.retain(|field| !default.contains(field));
        let short = encode::to_bytes(&Value::Map(fields)).ok().filter(leads_back);
        Some(short.unwrap_or(named))
    }

    /// The options (MessagePack, canonical) of a join link: the opposite of [`options_for_link`](Self::options_for_link).
    ///
    /// # Errors
    /// Why this app cannot read them. Fields that it does not know are an error, because they belong to another session.
    pub fn options_of_link(&self, carried: Option<&[u8]>) -> Result<Vec<u8>, String> {
        let Some(carried) = carried else {
            return self.default_options().ok_or_else(|| {
                "expected the options that this app needs, found a link without any".to_owned()
            });
        };
        let options = self.canonical_options(carried)?;
        let known = self.named(&options).and_then(|named| read(&named));
        match (known, read(carried)) {
            (Some(known), Some(carried)) => find_unknown(&known, &carried).map(|()| options),
            _ => Ok(options),
        }
    }

    /// Options (MessagePack) with the names of fields, for front ends that read and change them.
    ///
    /// # Errors
    /// Why the model does not take these options.
    pub fn named_options(&self, options: &[u8]) -> Result<Vec<u8>, String> {
        (self.0.definitions[0].named_options)(options)
    }

    fn named(&self, options: &[u8]) -> Option<Vec<u8>> {
        self.named_options(options).ok()
    }
}

/// Options of a Rust type, with the names of their fields.
pub(crate) fn with_names<O: Serialize + DeserializeOwned>(
    options: &[u8],
) -> Result<Vec<u8>, String> {
    let options: O = crate::payload::decode(options).map_err(|error| error.to_string())?;
    let named = rmp_serde::to_vec_named(&options).map_err(|error| error.to_string())?;
    encode::canonical(&named).map_err(|error| error.to_string())
}

fn read(bytes: &[u8]) -> Option<Value> {
    rmpv::decode::read_value(&mut &*bytes).ok()
}

/// Fails with the first field that only the carried options have.
fn find_unknown(known: &Value, carried: &Value) -> Result<(), String> {
    let (Value::Map(known), Value::Map(carried)) = (known, carried) else { return Ok(()) };
    for (name, value) in carried {
        match known.iter().find(|(other, _)| other == name) {
            Some((_, known)) => find_unknown(known, value)?,
            None => return Err(format!("unknown option {name}")),
        }
    }
    Ok(())
}
