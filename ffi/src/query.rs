//! Reads the model through named queries.

use teatime::ModelId;

use crate::boundary::boundary;
use crate::handle::Held;
use crate::out::Check;
use crate::payload::{format_of, tea_payload};
use crate::session::{model, tea_session, with};
use crate::status::{Failure, tea_status};
use crate::text::tea_str;
use crate::value::{Value, tea_value};

/// Asks a named query of a model; TEA_ROOT_MODEL is the root model. The answer is in `format`, a tea_format; structs are
/// maps with names. The caller frees the answer with tea_value_free.
///
/// Fails with TEA_STATUS_NOT_JOINED before there is a model, with TEA_STATUS_UNKNOWN_MODEL,
/// TEA_STATUS_UNKNOWN_QUERY, TEA_STATUS_QUERY_ARGUMENT, TEA_STATUS_QUERY_FAILED, or
/// TEA_STATUS_ENCODING if the format cannot express the answer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_query(
    session: *const tea_session,
    model_id: u64,
    query: tea_str,
    argument: tea_payload,
    format: i32,
    answer: *mut *mut tea_value,
) -> tea_status {
    boundary(|| {
        let answer = answer.check("answer")?;
        let (query, format) = (query.get("query")?, format_of(format)?);
        let argument = argument.to_msgpack()?;
        let payload = with(session, |driver| {
            Ok(model(driver)?.query(ModelId(model_id), query, &argument)?)
        })?;
        answer.set(Value::of_payload(&payload, format)?.hand_out()?);
        Ok(())
    })
}

/// The id of the model with a name.
///
/// Fails with TEA_STATUS_NOT_JOINED before there is a model, with TEA_STATUS_NOT_FOUND.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_well_known(
    session: *const tea_session,
    name: tea_str,
    model_id: *mut u64,
) -> tea_status {
    boundary(|| {
        let model_id = model_id.check("model_id")?;
        let name = name.get("name")?;
        let found = with(session, |driver| Ok(model(driver)?.well_known(name)))?;
        let found = found.ok_or_else(|| {
            Failure::new(tea_status::NotFound, format!("no model has the name {name:?}"))
        })?;
        model_id.set(found.0);
        Ok(())
    })
}
