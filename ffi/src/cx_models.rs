//! Other models, as a running handler in C reaches them.

use teatime::ModelId;

use crate::boundary::boundary;
use crate::cx::{tea_cx, with};
use crate::handle::Held;
use crate::out::Check;
use crate::payload::{format_of, tea_format, tea_payload};
use crate::status::{Failure, tea_status};
use crate::text::tea_str;
use crate::value::{Value, append_payload, checked, tea_value};

/// Calls a handler of another model, in C or in Rust, by the name of the handler. It runs within this call, at the same
/// session time, with the same sender and topic. `answer` becomes what the handler has passed to tea_cx_answer, or nil;
/// the caller frees it with tea_value_free. `answer` may be NULL.
///
/// Fails with:
/// - TEA_STATUS_UNKNOWN_MODEL or TEA_STATUS_UNKNOWN_HANDLER.
/// - TEA_STATUS_MODEL_RUNNING if a handler of that model is running: it cannot call back into its caller.
/// - TEA_STATUS_CALL_FAILED if the handler does not take the argument, or if calls are nested too deep; then the handler
///   was not called. Also if the handler failed: that is a fault, and the whole turn will be undone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_call(
    cx: *mut tea_cx,
    model: u64,
    handler: tea_str,
    argument: tea_payload,
    format: i32,
    answer: *mut *mut tea_value,
) -> tea_status {
    boundary(|| {
        let (handler, format) = (handler.get("handler")?, format_of(format)?);
        let argument = checked(argument)?;
        let payload = with(cx, |cx| Ok(cx.call(ModelId(model), handler, &argument)?))?;
        if let Ok(answer) = answer.check("answer") {
            let encoding = |error| Failure::new(tea_status::Encoding, error);
            let bytes = payload.to_msgpack().map_err(encoding)?;
            let payload = checked(tea_payload::msgpack(&bytes))?;
            answer.set(Value::of_payload(&payload, format)?.hand_out()?);
        }
        Ok(())
    })
}

/// Answers to the handler that has called this one with tea_cx_call. The last answer counts. Answers to events and future
/// messages go nowhere.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_answer(cx: *mut tea_cx, answer: tea_payload) -> tea_status {
    boundary(|| {
        let answer = checked(answer)?;
        with(cx, |cx| {
            cx.answer(answer);
            Ok(())
        })
    })
}

/// Makes a model of the app, by the id of its type. Its init runs within this call. `created` becomes the id of the new
/// model.
///
/// Fails with TEA_STATUS_CREATE_FAILED if the app does not have this type, or if its init failed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_create(
    cx: *mut tea_cx,
    model: tea_str,
    options: tea_payload,
    created: *mut u64,
) -> tea_status {
    boundary(|| {
        let created = created.check("created")?;
        let model = model.get("model")?;
        let options = options.to_msgpack()?;
        let made = with(cx, |cx| Ok(cx.create(model, &options)))?;
        let id = made.map_err(|why| Failure::new(tea_status::CreateFailed, why))?;
        created.set(id.0);
        Ok(())
    })
}

/// Destroys a model with its subscriptions, future messages and names.
///
/// Fails with TEA_STATUS_UNKNOWN_MODEL if it does not exist, or if it is the root model, which cannot be destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_destroy(cx: *mut tea_cx, model: u64) -> tea_status {
    boundary(|| {
        if with(cx, |cx| Ok(cx.destroy(ModelId(model))))? {
            return Ok(());
        }
        let message = format!("model {model} does not exist, or is the root model");
        Err(Failure::new(tea_status::UnknownModel, message))
    })
}

/// Asks a query of another model, in C or in Rust. The caller frees the answer with tea_value_free. In the answers of Rust models, structs are maps.
///
/// Fails with TEA_STATUS_UNKNOWN_MODEL, TEA_STATUS_MODEL_RUNNING, TEA_STATUS_UNKNOWN_QUERY, TEA_STATUS_QUERY_ARGUMENT or
/// TEA_STATUS_QUERY_FAILED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_query(
    cx: *const tea_cx,
    model: u64,
    query: tea_str,
    argument: tea_payload,
    format: i32,
    answer: *mut *mut tea_value,
) -> tea_status {
    boundary(|| {
        let answer = answer.check("answer")?;
        let (query, format) = (query.get("query")?, format_of(format)?);
        let argument = argument.to_msgpack()?;
        let payload = with(cx, |cx| Ok(cx.query(ModelId(model), query, &argument)?))?;
        let mut named = Vec::new();
        append_payload(&mut named, &payload, tea_format::Msgpack)?;
        // The bits of a NaN that a model has computed differ between platforms.
        let payload = checked(tea_payload::msgpack(&named))?;
        answer.set(Value::of_payload(&payload, format)?.hand_out()?);
        Ok(())
    })
}

/// Gives a model a name, by which all models and views can find it.
///
/// Fails with TEA_STATUS_NAME_TAKEN if another model has the name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_set_well_known(
    cx: *mut tea_cx,
    name: tea_str,
    model: u64,
) -> tea_status {
    boundary(|| {
        let name = name.get("name")?;
        let set = with(cx, |cx| Ok(cx.set_well_known(name, ModelId(model))))?;
        set.map_err(|error| Failure::new(tea_status::NameTaken, error))
    })
}

/// The id of the model with a name.
///
/// Fails with TEA_STATUS_NOT_FOUND.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_cx_well_known(
    cx: *const tea_cx,
    name: tea_str,
    model: *mut u64,
) -> tea_status {
    boundary(|| {
        let model = model.check("model")?;
        let name = name.get("name")?;
        let found = with(cx, |cx| Ok(cx.well_known(name)))?;
        let found = found.ok_or_else(|| {
            Failure::new(tea_status::NotFound, format!("no model has the name {name:?}"))
        })?;
        model.set(found.0);
        Ok(())
    })
}
