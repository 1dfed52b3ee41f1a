//! Where the generated code finds the virtual machine.

use proc_macro_crate::{FoundCrate, crate_name};
use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;

/// The path of the crate that re-exports the virtual machine: `teatime` if the app depends on it, otherwise
/// `teatime-vm`.
pub(crate) fn vm() -> TokenStream {
    for (package, own_name) in [("teatime", "teatime"), ("teatime-vm", "teatime_vm")] {
        match crate_name(package) {
            Ok(FoundCrate::Itself) => {
                let name = Ident::new(own_name, Span::call_site());
                return quote!(::#name);
            }
            Ok(FoundCrate::Name(name)) => {
                let name = Ident::new(&name, Span::call_site());
                return quote!(::#name);
            }
            Err(_) => {}
        }
    }
    quote!(::teatime)
}
