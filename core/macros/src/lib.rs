//! The attributes that turn a plain struct into a replicated model: `#[model]` on the struct, `#[handlers]`
//! on its `impl` block. Apps use them through `teatime`, which re-exports them.

mod handlers;
mod model;
mod path;
mod text;

use proc_macro::TokenStream;

/// Turns a struct into the state of a model: `#[model(id = "chat", version = 1)]`.
///
/// - `id` names the model in snapshots. The default is the name of the struct.
/// - `version` must change when the model behaves differently. The default is 1.
///
/// Both are part of the version hash of the app, and so are the names and types of the fields.
///
/// The fields need serde's `Serialize` and `Deserialize`; the attribute derives them for the struct. It
/// refuses types that would make participants differ, such as `usize` or `HashMap`, and says what to use
/// instead.
///
/// A field marked `#[serde(skip)]` is not in snapshots. Use it only to cache what follows from other
/// fields, and rebuild it in the `#[restored]` hook.
#[proc_macro_attribute]
pub fn model(args: TokenStream, item: TokenStream) -> TokenStream {
    model::expand(args.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Turns the methods of an `impl` block into the handlers and queries of a model.
///
/// | method | is |
/// |---|---|
/// | `fn init(cx: &mut Cx<Self>, options: &Options) -> Self` | required: makes a new model |
/// | `fn name(&mut self, cx: &mut Cx<Self>[, argument])` without result | a handler: can be subscribed and scheduled as `Self::name` |
/// | `#[query] fn name(&self[, argument]) -> T` | a query: views ask it by its name |
/// | `#[restored] fn name(&mut self)` | runs after a restore, to rebuild what is not in snapshots |
/// | any other method, or one marked `#[skip]` | an ordinary method |
///
/// An argument is an owned serde value, taken by value or by reference. All methods can also be called
/// as usual.
///
/// The names and argument types of handlers and queries are part of the version hash of the app.
#[proc_macro_attribute]
pub fn handlers(args: TokenStream, item: TokenStream) -> TokenStream {
    handlers::expand(args.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}
