//! Reads the functions of the header, and writes C that calls each of them wrongly.

use std::fmt::Write;

/// A function of the header.
pub(crate) struct Export {
    pub(crate) result: String,
    pub(crate) name: String,
    pub(crate) parameters: Vec<Parameter>,
}

pub(crate) struct Parameter {
    pub(crate) kind: String,
    pub(crate) name: String,
}

/// All functions that the header declares.
pub(crate) fn of_header(header: &str) -> Vec<Export> {
    // Types come before the first function. The inline helpers come last.
    let helpers = header.find("static inline").expect("the helpers are there");
    let plain = without_comments(&header[..helpers]);
    plain.split(';').filter_map(export).collect()
}

/// A header without its comments.
pub(crate) fn without_comments(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("/*") {
        plain.push_str(before);
        rest = behind.split_once("*/").map_or("", |(_, after)| after);
    }
    plain + rest
}

fn export(declaration: &str) -> Option<Export> {
    // Directives stand between declarations.
    let text: Vec<_> = declaration.lines().filter(|line| !line.starts_with('#')).collect();
    let text = text.join(" ").replace("extern \"C\" {", "");
    let (head, parameters) = text.trim().split_once('(')?;
    let (result, name) = head.rsplit_once([' ', '*'])?;
    let function = name.starts_with("tea_") && !head.contains("typedef") && !head.contains('{');
    function.then(|| Export {
        result: result.trim().to_owned(),
        name: name.to_owned(),
        parameters: parameters.trim_end_matches(')').split(',').filter_map(parameter).collect(),
    })
}

fn parameter(text: &str) -> Option<Parameter> {
    let text = text.trim();
    let at = text.rfind([' ', '*'])? + 1;
    let kind = text[..at].split_whitespace().collect::<Vec<_>>().join(" ").replace(" *", "*");
    Some(Parameter { kind, name: text[at..].to_owned() })
}

/// Pointers that may be NULL, as the header says.
const OPTIONAL: [(&str, &str); 9] = [
    ("tea_session_publish", "receipt"),
    ("tea_cx_future", "future"),
    ("tea_cx_topic", "model"),
    ("tea_cx_call", "answer"),
    // Fails with TEA_STATUS_NOT_IN_MODEL.
    ("tea_cx_model_only", "cx"),
    ("tea_session_set_waker", "waker"),
    ("tea_session_set_waker", "user_data"),
    ("tea_transfer_set_waker", "waker"),
    ("tea_transfer_set_waker", "user_data"),
];

/// Types that C gets as a handle, or during a callback.
const HANDLES: [&str; 8] = [
    "tea_app*",
    "tea_blobs*",
    "tea_config*",
    "tea_cx*",
    "tea_reflector*",
    "tea_session*",
    "tea_transfer*",
    "tea_value*",
];

impl Parameter {
    fn is_handle(&self) -> bool {
        let plain = self.kind.trim_start_matches("const ");
        HANDLES.contains(&plain)
    }

    /// Whether it is or contains a pointer.
    fn points(&self) -> bool {
        self.kind.ends_with('*') || ["tea_str", "tea_payload", "tea_waker"].contains(&&*self.kind)
    }

    /// The variable for the result, if it is an out-parameter.
    fn is_out(&self) -> bool {
        self.kind.ends_with('*')
            && !self.is_handle()
            && !self.kind.starts_with("const ")
            && self.kind != "void*"
            || self.kind.ends_with("**")
    }

    /// A valid argument.
    fn good(&self) -> String {
        let plain = self.kind.trim_start_matches("const ");
        match (plain, &*self.name) {
            _ if self.is_handle() => format!("fixture.{}", &plain[4..plain.len() - 1]),
            ("tea_str", _) => "TEA_STR(\"text\")".into(),
            ("tea_payload", _) => "tea_nil()".into(),
            ("tea_waker" | "void*", _) => "NULL".into(),
            ("tea_model*", _) => "&fixture.model".into(),
            ("tea_migration*", _) => "&fixture.migration".into(),
            ("tea_sync_step*", _) => "&fixture.step".into(),
            ("uint8_t*", "item" | "content") => "(const uint8_t *)\"bytes\"".into(),
            (_, "capacity") => "ROOM".into(),
            (_, "format" | "handling") if !plain.ends_with('*') => "0".into(),
            (kind, _) if kind.ends_with('*') => format!("{}_out", self.name),
            _ => "1".into(),
        }
    }

    fn null(&self) -> String {
        match &*self.kind {
            "tea_str" => "no_text".into(),
            "tea_payload" => "no_data".into(),
            _ => "NULL".into(),
        }
    }
}

impl Export {
    fn call(&self, null: Option<&str>) -> String {
        let arguments = self.parameters.iter().map(|parameter| match null {
            Some(name) if name == parameter.name => parameter.null(),
            _ => parameter.good(),
        });
        format!("{}({})", self.name, arguments.collect::<Vec<_>>().join(", "))
    }
}

/// The bodies of two C functions. One calls every function with NULL for each pointer, one at a time, and checks that nothing
/// was written. The other injects a panic into every function.
pub(crate) fn wrong_calls(exports: &[Export]) -> String {
    let mut nulls = String::from("static void call_with_nulls(void) {\n");
    let mut panics = String::from("static void call_with_panics(void) {\n");
    for export in exports.iter().filter(|export| export.result == "tea_status") {
        let mut begin = String::from("    {\n");
        let mut end = String::new();
        for out in export.parameters.iter().filter(|parameter| parameter.is_out()) {
            let kind = out.kind[..out.kind.len() - 1].trim_end();
            let name = format!("{}_out", out.name);
            let _ = writeln!(begin, "        static {kind} {name}[ROOM];");
            let _ = writeln!(begin, "        memset((void *){name}, 0x5a, sizeof {name});");
            let _ =
                writeln!(end, "        expect_poison({name}, sizeof {name}, \"{}\");", export.name);
        }
        nulls.push_str(&begin);
        for parameter in export.parameters.iter().filter(|parameter| parameter.points()) {
            let optional = OPTIONAL.contains(&(&*export.name, &*parameter.name));
            let call = export.call(Some(&parameter.name));
            let _ = writeln!(
                nulls,
                "        expect({call}, {}, \"{} without {}\");",
                if optional { "-1" } else { "TEA_STATUS_NULL_POINTER" },
                export.name,
                parameter.name,
            );
        }
        let _ = writeln!(nulls, "{end}    }}");
        let _ = writeln!(
            panics,
            "{begin}        tea_inject_panic();\n        expect({}, TEA_STATUS_PANIC, \"{} with a panic\");",
            export.call(None),
            export.name,
        );
        let _ = writeln!(panics, "        expect_alive(\"{}\");\n{end}    }}", export.name);
    }
    format!("{nulls}}}\n\n{panics}}}\n")
}
