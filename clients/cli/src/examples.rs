//! An example of each command, which its help ends with.

use clap::Command;

/// By the words of a command.
const EXAMPLES: &[(&str, &[&str])] = &[
    (
        "chat",
        &[
            "teatime chat",
            "teatime chat --listen 0.0.0.0:9090 --name kitchen --ask-password",
            "teatime chat --reflector wss://teatime.example.org --name kitchen --plain",
        ],
    ),
    (
        "reflector",
        &[
            "teatime reflector --listen 0.0.0.0:9090 --data /var/lib/teatime",
            "teatime reflector --listen 0.0.0.0:443 --tls-cert cert.pem --tls-key key.pem",
        ],
    ),
    ("blobs put", &["teatime blobs put photo.jpg --name kitchen"]),
    ("blobs get", &["teatime blobs get HANDLE photo.jpg --name kitchen"]),
    ("blobs limits", &["teatime blobs limits --reflector wss://teatime.example.org"]),
    ("record", &["teatime record --name kitchen --to kitchen.recording"]),
    (
        "replay",
        &[
            "teatime replay kitchen.recording --until 12.5s",
            "teatime replay /var/lib/teatime --name kitchen",
        ],
    ),
    ("branch", &["teatime branch kitchen.recording --until 17 --into copy --as kitchen2"]),
    ("diff", &["teatime diff 1f3a.evidence"]),
    ("store check", &["teatime store check /var/lib/teatime"]),
    ("store list", &["teatime store list /var/lib/teatime"]),
    ("store export", &["teatime store export /var/lib/teatime ROOM_NAME/ROOM_ID kitchen.export"]),
    ("store rollback", &["teatime store rollback /var/lib/teatime SESSION_ID --dry-run"]),
    ("store records", &["teatime store records /var/lib/teatime ROOM_NAME/ROOM_ID"]),
    (
        "store remove-record",
        &["teatime store remove-record /var/lib/teatime ROOM_NAME/ROOM_ID SESSION_ID"],
    ),
    ("store salvage", &["teatime store salvage /var/lib/teatime --into /var/lib/teatime-salvaged"]),
    ("store import", &["teatime store import /var/lib/teatime kitchen.export"]),
    ("doctor", &["teatime doctor", "teatime doctor wss://teatime.example.org"]),
    ("new", &["teatime new tally"]),
    (
        "completions",
        &["teatime completions bash > ~/.local/share/bash-completion/completions/teatime"],
    ),
    ("man", &["teatime man ~/.local/share/man/man1"]),
];

/// Adds its example to each command.
pub(crate) fn add(program: Command) -> Command {
    add_below(program, "")
}

fn add_below(command: Command, path: &str) -> Command {
    let example = EXAMPLES.iter().find(|(words, _)| *words == path);
    let command = match example {
        Some((_, lines)) => {
            let lines: String = lines.iter().map(|line| format!("\n  {line}")).collect();
            command.after_help(format!("Example:{lines}"))
        }
        None => command,
    };
    let names: Vec<_> =
        command.get_subcommands().map(|inner| inner.get_name().to_owned()).collect();
    names.into_iter().fold(command, |command, name| {
        let path = format!("{path} {name}");
        command.mut_subcommand(name, |inner| add_below(inner, path.trim_start()))
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::Arguments;

    /// The words of all commands below this one that do something themselves.
    fn leaves(command: &Command, path: &str) -> Vec<String> {
        if !command.has_subcommands() {
            return vec![path.to_owned()];
        }
        let inner = command.get_subcommands();
        inner
            .flat_map(|inner| leaves(inner, format!("{path} {}", inner.get_name()).trim()))
            .collect()
    }

    #[test]
    fn each_command_has_an_example_and_each_example_is_one_of_its_command() {
        let mut with_example: Vec<_> =
            EXAMPLES.iter().map(|(path, _)| (*path).to_owned()).collect();
        let mut all = leaves(&Arguments::command(), "");
        with_example.sort();
        all.sort();
        assert_eq!(with_example, all);
        for (path, lines) in EXAMPLES {
            for line in *lines {
                // The shell takes redirections out of the arguments.
                let words = line.split(" > ").next().unwrap_or_default();
                let id = "0".repeat(64);
                let words = ["ROOM_NAME", "ROOM_ID", "SESSION_ID"]
                    .iter()
                    .fold(words.to_owned(), |words, name| words.replace(name, &id));
                assert!(words.starts_with(&format!("teatime {path}")), "{line}");
                let read = Arguments::command().try_get_matches_from(words.split(' '));
                assert!(read.is_ok(), "{line}: {}", read.unwrap_err());
            }
        }
    }
}
