//! `#[handlers]`: turns the methods of an `impl` block into the handlers and queries of a model.

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote};
use syn::{
    Attribute, Error, FnArg, GenericArgument, Ident, ImplItem, ImplItemFn, ItemImpl, PathArguments,
    Result, ReturnType, Signature, Type,
};

use crate::path;
use crate::text::text_of;

/// A handler or a query, and its argument if it takes one.
struct Callable {
    name: Ident,
    argument: Option<Argument>,
}

struct Argument {
    by_reference: bool,
    owned: Type,
}

impl Callable {
    /// The argument type as it is written. It is part of the version hash of the models.
    fn shape(&self) -> String {
        match &self.argument {
            None => text_of(&quote!(())),
            Some(argument) => text_of(&argument.owned),
        }
    }
}

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> Result<TokenStream> {
    if !args.is_empty() {
        return Err(Error::new_spanned(args, "`#[handlers]` takes no arguments"));
    }
    let mut block: ItemImpl = syn::parse2(item)?;
    if let Some((_, of, _)) = &block.trait_ {
        return Err(Error::new_spanned(of, "`#[handlers]` belongs on `impl Model { … }`"));
    }
    let mut options = None;
    let mut restored = None;
    let mut handlers = Vec::new();
    let mut queries = Vec::new();
    for item in &mut block.items {
        let ImplItem::Fn(function) = item else { continue };
        if take(&mut function.attrs, "skip") {
            continue;
        }
        let is_query = take(&mut function.attrs, "query");
        let is_restored = take(&mut function.attrs, "restored");
        let name = function.sig.ident.clone();
        if name == "init" {
            options = Some(options_of(&function.sig)?);
        } else if is_query {
            queries.push(query_of(&function.sig)?);
        } else if is_restored {
            restored = Some(name);
        } else if let Some(handler) = handler_of(function)? {
            handlers.push(handler);
        }
    }
    let name = block.self_ty.to_token_stream();
    let Some(options) = options else {
        let message = "a model needs `fn init(cx: &mut Cx<Self>, options: &Options) -> Self`";
        return Err(Error::new_spanned(&block.self_ty, message));
    };
    let implementation = implement(&name, &options, restored, &handlers, &queries);
    // Handlers take arguments such as `&String`, because an argument is an owned value.
    block.attrs.push(syn::parse_quote!(#[allow(clippy::ptr_arg)]));
    Ok(quote!(#block #implementation))
}

/// The `Model` implementation.
fn implement(
    name: &TokenStream,
    options: &Type,
    restored: Option<Ident>,
    handlers: &[Callable],
    queries: &[Callable],
) -> TokenStream {
    let vm = path::vm();
    let tables = [method_table("handlers", handlers), method_table("queries", queries)];
    let handler_index = handler_index(handlers);
    let dispatch = dispatch(handlers);
    let query = query(queries);
    let restored = restored.map(|hook| quote!(Self::#hook(self);));
    quote! {
        impl #vm::Model for #name {
            type Options = #options;

            fn init(cx: &mut #vm::Cx<'_, Self>, options: &Self::Options) -> Self {
                <#name>::init(cx, options)
            }

            #(#tables)*

            #handler_index

            #dispatch

            #query

            fn restored(&mut self) {
                #restored
            }
        }
    }
}

/// `fn handlers()` or `fn queries()`: the names, argument types and kinds of the methods.
fn method_table(function: &str, callables: &[Callable]) -> TokenStream {
    let (vm, function) = (path::vm(), format_ident!("{function}"));
    let entries = callables.iter().map(|callable| {
        let (method, shape) = (callable.name.to_string(), callable.shape());
        let kind = match &callable.argument {
            Some(Argument { owned, .. }) => quote!(#vm::__private::argument_kind::<#owned>()),
            None => quote!(#vm::ArgumentKind::Other),
        };
        quote!(#vm::MethodInfo { name: #method.into(), argument: #shape.into(), kind: #kind })
    });
    quote! {
        fn #function() -> &'static [#vm::MethodInfo] {
            static TABLE: ::std::sync::LazyLock<::std::vec::Vec<#vm::MethodInfo>> =
                ::std::sync::LazyLock::new(|| ::std::vec::Vec::from([#(#entries),*]));
            &TABLE
        }
    }
}

/// `fn handler_index`: from the type of a handler's fn item to its index.
fn handler_index(handlers: &[Callable]) -> TokenStream {
    let (vm, unused) = (path::vm(), format_ident!("_unused"));
    let identities = handlers.iter().enumerate().map(|(index, handler)| {
        let (method, index) = (&handler.name, index as u16);
        quote!(if method == #vm::__private::type_id_of(&Self::#method) {
            return ::core::option::Option::Some(#index);
        })
    });
    quote! {
        #[inline]
        fn handler_index(method: ::core::any::TypeId) -> ::core::option::Option<u16> {
            let #unused = method;
            #(#identities)*
            ::core::option::Option::None
        }
    }
}

/// `fn dispatch`: calls the handler with this index.
fn dispatch(handlers: &[Callable]) -> TokenStream {
    let (vm, unused) = (path::vm(), format_ident!("_unused"));
    let calls = handlers.iter().enumerate().map(|(index, handler)| {
        let (method, index) = (&handler.name, index as u16);
        let call = match &handler.argument {
            None => quote!(Self::#method(self, cx)),
            Some(Argument { by_reference: true, owned }) => quote! {
                payload.with(|argument: &#owned| Self::#method(self, cx, argument))?
            },
            Some(Argument { owned, .. }) => quote! {{
                let argument = payload.get::<#owned>()?;
                Self::#method(self, cx, argument)
            }},
        };
        quote!(#index => #call,)
    });
    quote! {
        #[inline]
        fn dispatch(
            &mut self,
            cx: &mut #vm::Cx<'_, Self>,
            handler: u16,
            payload: &#vm::Payload,
        ) -> ::core::result::Result<(), #vm::PayloadError> {
            let #unused = (&cx, payload);
            match handler {
                #(#calls)*
                _ => {}
            }
            ::core::result::Result::Ok(())
        }
    }
}

/// `fn query`: answers the query with this name.
fn query(queries: &[Callable]) -> TokenStream {
    let (vm, unused) = (path::vm(), format_ident!("_unused"));
    let answers = queries.iter().map(|query| {
        let (method, text) = (&query.name, query.name.to_string());
        let call = match &query.argument {
            None => quote!(Self::#method(self)),
            Some(Argument { by_reference, owned }) => {
                let reference = by_reference.then(|| quote!(&));
                quote!({
                    let argument: #owned = #vm::__private::decode(arguments)?;
                    Self::#method(self, #reference argument)
                })
            }
        };
        quote!(#text => ::core::result::Result::Ok(#vm::__private::answer(#call)),)
    });
    quote! {
        fn query(
            &self,
            name: &str,
            arguments: &[u8],
        ) -> ::core::result::Result<#vm::Payload, #vm::QueryError> {
            let #unused = arguments;
            match name {
                #(#answers)*
                _ => ::core::result::Result::Err(#vm::QueryError::UnknownQuery(name.into())),
            }
        }
    }
}

/// Removes the attribute with this name. Returns whether it was there.
fn take(attributes: &mut Vec<Attribute>, name: &str) -> bool {
    let before = attributes.len();
    attributes.retain(|attribute| !attribute.path().is_ident(name));
    attributes.len() < before
}

/// The type behind `options: &Options` of `init`.
fn options_of(signature: &Signature) -> Result<Type> {
    if let [FnArg::Typed(_), FnArg::Typed(options)] = arguments(signature).as_slice()
        && let Type::Reference(reference) = &*options.ty
    {
        return Ok((*reference.elem).clone());
    }
    let message = "expected `fn init(cx: &mut Cx<Self>, options: &Options) -> Self`";
    Err(Error::new_spanned(signature, message))
}

/// The handler that this method is: it has the shape `fn(&mut self, &mut Cx<Self>[, argument])` and returns
/// nothing. `None` for methods of any other shape.
fn handler_of(function: &ImplItemFn) -> Result<Option<Callable>> {
    let signature = &function.sig;
    let all = arguments(signature);
    let (Some(FnArg::Receiver(receiver)), Some(FnArg::Typed(context))) = (all.first(), all.get(1))
    else {
        return Ok(None);
    };
    let writes = receiver.reference.is_some() && receiver.mutability.is_some();
    let returns_nothing = matches!(signature.output, ReturnType::Default);
    let is_plain = signature.generics.params.is_empty() && signature.asyncness.is_none();
    if !writes || !is_cx(&context.ty) || !returns_nothing || !is_plain || all.len() > 3 {
        return Ok(None);
    }
    let argument = all.get(2).map(|argument| argument_of(argument)).transpose()?;
    // A method that takes `&str` or a slice is a helper, because the argument of a handler is owned.
    if argument.as_ref().is_some_and(|argument| is_unsized(&argument.owned)) {
        return Ok(None);
    }
    Ok(Some(Callable { name: signature.ident.clone(), argument }))
}

/// The query that this method is. It must have the shape `fn(&self[, argument]) -> result`.
fn query_of(signature: &Signature) -> Result<Callable> {
    let all = arguments(signature);
    let reads = matches!(all.first(), Some(FnArg::Receiver(receiver))
        if receiver.reference.is_some() && receiver.mutability.is_none());
    if !reads || all.len() > 2 || matches!(signature.output, ReturnType::Default) {
        let message = "a query reads: `fn(&self) -> T` or `fn(&self, argument: A) -> T`";
        return Err(Error::new_spanned(signature, message));
    }
    let argument = all.get(1).map(|argument| argument_of(argument)).transpose()?;
    Ok(Callable { name: signature.ident.clone(), argument })
}

fn arguments(signature: &Signature) -> Vec<&FnArg> {
    signature.inputs.iter().collect()
}

fn argument_of(argument: &FnArg) -> Result<Argument> {
    let FnArg::Typed(typed) = argument else {
        return Err(Error::new_spanned(argument, "expected an argument with a type"));
    };
    Ok(match &*typed.ty {
        Type::Reference(reference) => {
            Argument { by_reference: true, owned: (*reference.elem).clone() }
        }
        owned => Argument { by_reference: false, owned: owned.clone() },
    })
}

fn is_unsized(argument: &Type) -> bool {
    match argument {
        Type::Slice(_) | Type::TraitObject(_) => true,
        Type::Path(path) => path.path.is_ident("str"),
        _ => false,
    }
}

/// Whether a type is `&mut Cx<Self>`, however it is written.
fn is_cx(context: &Type) -> bool {
    let Type::Reference(reference) = context else { return false };
    let Type::Path(path) = &*reference.elem else { return false };
    let Some(last) = path.path.segments.last() else { return false };
    let of_self = match &last.arguments {
        PathArguments::AngleBracketed(arguments) => {
            arguments.args.iter().any(|argument| matches!(argument, GenericArgument::Type(_)))
        }
        _ => false,
    };
    reference.mutability.is_some() && last.ident == "Cx" && of_self
}
