//! The attributes that turn a plain struct into a replicated model: `#[model]` on the struct, `#[handlers]`
//! on its `impl` block. Apps use them through `teatime`, which re-exports them.

mod handlers;
mod model;
mod path;
mod source;
mod text;
mod words;

use proc_macro::TokenStream;

/// Turns a struct into the state of a model: `#[model(id = "chat", version = 1)]`.
///
/// - `id` names the model in snapshots. The default is the name of the struct.
/// - `version` is the version of the model. The default is 1.
/// - `code` says what the model does. The default is a fingerprint of the sources.
///
/// All are part of the version hash of the app, and so are the names and types of the fields. Builds with different
/// hashes are in different sessions.
///
/// # The fingerprint
///
/// It is a hash of all sources of the crate that the model is in: every module from `lib.rs` or `main.rs` on, and the files
/// that `include!`, `include_str!` and `include_bytes!` name by a literal. So handlers count, and so do constants, functions
/// and types that they use. Formatting, comments, the order of imports and tests do not, and neither does the platform: code
/// counts whatever its `cfg`. A model in a test or an example has the sources of that.
///
/// It does not cover what macros generate, build scripts, and other crates. If these change what a model does, change
/// `version`. Put models into a crate of their own, so that a change of the user interface does not lead to another
/// session.
///
/// With `code = "…"` the author declares it instead: builds with the same text meet, although their sources differ. Use it
/// for a repair that changes no state, or for models whose crate has other code. Builds that meet and compute different
/// states diverge, and their participants learn of it as of any divergence.
///
/// The fields need serde's `Serialize` and `Deserialize`; the attribute derives them for the struct. It
/// refuses types that would make participants differ, such as `usize` or `HashMap`, and says what to use
/// instead.
///
/// A field marked `#[serde(skip)]` is not in snapshots. Use it only to cache what follows from other
/// fields, and rebuild it in the `#[restored]` hook.
#[proc_macro_attribute]
pub fn model(args: TokenStream, item: TokenStream) -> TokenStream {
    let file = proc_macro::Span::call_site().local_file();
    model::expand(args.into(), item.into(), file)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
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
