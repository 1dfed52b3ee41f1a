//! What makes a plain struct a replicated model: `#[model]` on the struct, `#[handlers]` on its
//! `impl` block. Both are documented where they are re-exported, in `teatime_vm`.

mod handlers;
mod model;
mod path;

use proc_macro::TokenStream;

/// Makes a struct the state of a model.
#[proc_macro_attribute]
pub fn model(args: TokenStream, item: TokenStream) -> TokenStream {
    model::expand(args.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes the methods of an `impl` block the handlers and queries of a model.
#[proc_macro_attribute]
pub fn handlers(args: TokenStream, item: TokenStream) -> TokenStream {
    handlers::expand(args.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}
