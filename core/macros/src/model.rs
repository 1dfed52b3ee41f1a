//! `#[model(id = "…", version = …)]`: turns a struct into the state of a model.

use std::path::{Path as FilePath, PathBuf};

use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Error, Field, Fields, ItemStruct, LitInt, LitStr, Path, Result};

use crate::text::text_of;
use crate::{path, source};

pub(crate) fn expand(
    args: TokenStream,
    item: TokenStream,
    file: Option<PathBuf>,
) -> Result<TokenStream> {
    let arguments = Arguments::parse(args)?;
    let item: ItemStruct = syn::parse2(item)?;
    if !item.generics.params.is_empty() {
        return Err(Error::new(item.generics.span(), "a model cannot be generic"));
    }
    if let Fields::Unnamed(fields) = &item.fields {
        return Err(Error::new(fields.span(), "the fields of a model need names"));
    }
    let mut check = CheckTypes { found: None };
    item.fields.iter().for_each(|field| check.visit_type(&field.ty));
    if let Some(error) = check.found {
        return Err(error);
    }
    let vm = path::vm();
    let serde_path = format!("{}::__private::serde", vm.to_string().replace(' ', ""));
    let name = &item.ident;
    let id = arguments.id.unwrap_or_else(|| LitStr::new(&name.to_string(), name.span()));
    let version = arguments.version.unwrap_or_else(|| LitInt::new("1", name.span()));
    let Code { code, sources, files } = code(arguments.code, &item, file)?;
    let fields = item.fields.iter().filter(|field| !is_skipped(field)).map(|field| {
        let field_name = field.ident.as_ref().map(ToString::to_string).unwrap_or_default();
        let field_type = text_of(&field.ty);
        quote!((#field_name, #field_type))
    });
    Ok(quote! {
        #[derive(#vm::__private::serde::Serialize, #vm::__private::serde::Deserialize)]
        #[serde(crate = #serde_path)]
        #item

        impl #vm::ModelState for #name {
            const ID: &'static str = #id;
            const VERSION: u32 = #version;
            const CODE: &'static str = #code;
            const SOURCES: &'static str = #sources;
            const FIELDS: &'static [(&'static str, &'static str)] = &[#(#fields),*];
        }

        // The compiler runs again if one of these changes.
        #(const _: &[u8] = ::core::include_bytes!(#files);)*
    })
}

/// What the model does.
#[derive(Default)]
struct Code {
    /// As declared, or the fingerprint of the sources.
    code: String,
    /// The fingerprint of the sources. Empty if they are not known.
    sources: String,
    /// The files that the fingerprint depends on.
    files: Vec<String>,
}

fn code(declared: Option<LitStr>, item: &ItemStruct, file: Option<PathBuf>) -> Result<Code> {
    let found = sources(file);
    if let Some(declared) = declared {
        return match declared.value() {
            code if code.is_empty() => Err(Error::new(declared.span(), "expected a text")),
            code => Ok(Code { code: format!("declared {code}"), ..found.unwrap_or_default() }),
        };
    }
    found.map_err(|why| {
        let remedy = "declare what the model does: `#[model(…, code = \"…\")]`";
        Error::new(item.ident.span(), format!("no fingerprint of the sources: {why}; {remedy}"))
    })
}

/// What the sources of the crate of this file do.
fn sources(file: Option<PathBuf>) -> std::result::Result<Code, String> {
    // An editor that expands macros by itself has no file. An example in Markdown is in no crate: the compiler names its
    // file only if the example has an error, and that error must be the one that shows.
    let file = file.filter(|file| file.extension().is_none_or(|extension| extension != "md"));
    let package = std::env::var_os("CARGO_MANIFEST_DIR");
    let Some((file, package)) = file.zip(package) else { return Ok(Code::default()) };
    let sources = source::of_crate(&file, FilePath::new(&package))?;
    let files = sources.files.iter().filter_map(|file| file.to_str().map(str::to_owned));
    let (code, files) = (sources.fingerprint.clone(), files.collect());
    Ok(Code { sources: code.clone(), code, files })
}

/// Whether `#[serde(skip)]` leaves a field out of snapshots.
fn is_skipped(field: &Field) -> bool {
    let mut skipped = false;
    for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("serde")) {
        // serde's own derive reports what it does not understand.
        let _ = attribute.parse_nested_meta(|meta| {
            skipped |= meta.path.is_ident("skip") || meta.path.is_ident("skip_serializing");
            Ok(())
        });
    }
    skipped
}

#[derive(Default)]
struct Arguments {
    id: Option<LitStr>,
    version: Option<LitInt>,
    code: Option<LitStr>,
}

impl Arguments {
    fn parse(tokens: TokenStream) -> Result<Self> {
        let mut arguments = Self::default();
        let parser = syn::meta::parser(|meta| {
            if meta.path.is_ident("id") {
                arguments.id = Some(meta.value()?.parse()?);
                Ok(())
            } else if meta.path.is_ident("version") {
                arguments.version = Some(meta.value()?.parse()?);
                Ok(())
            } else if meta.path.is_ident("code") {
                arguments.code = Some(meta.value()?.parse()?);
                Ok(())
            } else {
                Err(meta.error("expected `id = \"…\"`, `version = …` or `code = \"…\"`"))
            }
        });
        syn::parse::Parser::parse2(parser, tokens)?;
        Ok(arguments)
    }
}

/// Types that would make participants differ, and what to use instead.
const REFUSED: [(&str, &str); 12] = [
    ("usize", "its size differs between platforms: use u32 or u64"),
    ("isize", "its size differs between platforms: use i32 or i64"),
    ("HashMap", "its order differs between participants: use OrderedMap or BTreeMap"),
    ("HashSet", "its order differs between participants: use OrderedSet or BTreeSet"),
    ("Instant", "participants have different clocks: use Time"),
    ("SystemTime", "participants have different clocks: use Time"),
    ("Rc", "a model must survive a snapshot: hold the value, or a Handle to another model"),
    ("Arc", "a model must survive a snapshot: hold the value, or a Handle to another model"),
    ("RefCell", "models change only in their handlers, which have `&mut self`"),
    ("Cell", "models change only in their handlers, which have `&mut self`"),
    ("Mutex", "models change only in their handlers, which have `&mut self`"),
    ("RwLock", "models change only in their handlers, which have `&mut self`"),
];

struct CheckTypes {
    found: Option<Error>,
}

impl<'ast> Visit<'ast> for CheckTypes {
    fn visit_path(&mut self, path: &'ast Path) {
        if let Some(last) = path.segments.last()
            && let Some((name, why)) = REFUSED.iter().find(|(name, _)| last.ident == name)
        {
            let message = format!("`{name}` cannot be part of a model: {why}");
            self.found.get_or_insert(Error::new(last.ident.span(), message));
        }
        visit::visit_path(self, path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sources of a model in this file, or why there are none.
    fn found(file: &str) -> std::result::Result<String, String> {
        let item = syn::parse_quote!(
            struct Counter {
                count: u64,
            }
        );
        let code = code(None, &item, Some(PathBuf::from(file)));
        code.map(|code| code.sources).map_err(|error| error.to_string())
    }

    #[test]
    fn an_example_in_markdown_has_no_sources_so_that_its_own_error_shows() {
        assert_eq!(found("../../docs/guide/first-model.md"), Ok(String::new()));
        let missing = found("src/nowhere.rs").expect_err("the file does not exist");
        assert!(missing.contains("no fingerprint of the sources"), "{missing}");
        assert_eq!(found("src/model.rs").map(|sources| sources.len()), Ok(64));
    }
}
