//! What makes a plain struct a replicated model: `#[model]` on the struct, `#[handlers]` on its
//! `impl` block. Both are documented where they are re-exported, in `teatime_vm`.

mod handlers;
mod model;
mod path;

use proc_macro::TokenStream;

/// Makes a struct the state of a model: `#[model(id = "chat", version = 1)]`.
///
/// `id` names the model in snapshots and defaults to the struct's name; `version` defaults to 1 and
/// must change when the model behaves differently. Both, and the names and types of the fields, are
/// part of the identity of the app's version.
///
/// The fields need serde's `Serialize` and `Deserialize`; the struct itself gets them from this
/// attribute. Types that would make participants differ, such as `usize` or `HashMap`, are refused;
/// the message says what to use instead. A field marked `#[serde(skip)]` is not in snapshots: it may
/// cache what follows from the others, and must be rebuilt by the `#[restored]` hook.
#[proc_macro_attribute]
pub fn model(args: TokenStream, item: TokenStream) -> TokenStream {
    model::expand(args.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes the methods of an `impl` block the handlers and queries of a model.
///
/// - `fn init(cx: &mut Cx<Self>, options: &Options) -> Self` makes a new model. It is required.
/// - Every `fn name(&mut self, cx: &mut Cx<Self>[, argument])` that returns nothing is a handler: it
///   can be subscribed and scheduled as `Self::name`. The argument is a serde value, taken by value
///   or by reference.
/// - `#[query] fn name(&self[, argument]) -> T` is a query: views ask it by its name. It stays an
///   ordinary method, too.
/// - `#[restored] fn name(&mut self)` is called after a restore, to rebuild what is not in snapshots.
/// - Methods of other shapes are left alone, and so are those marked `#[skip]`.
///
/// The names and argument types of handlers and queries are part of the identity of the app's
/// version.
#[proc_macro_attribute]
pub fn handlers(args: TokenStream, item: TokenStream) -> TokenStream {
    handlers::expand(args.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}
