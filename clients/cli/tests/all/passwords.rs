//! The ways to give the program a password.

use std::fs;

use crate::support::{Program, private_directory, run, teatime};

/// A chat in the room with a password, which must have joined the others.
fn chat(url: &str, more: &[&str], variable: Option<&str>) -> Program {
    let flags = ["chat", "--json", "--reflector", url, "--name", "safe"];
    let mut command = teatime().command(&[&flags[..], more].concat());
    if let Some(password) = variable {
        command.env("TEATIME_PASSWORD", password);
    }
    let mut chat = Program::spawn(&mut command);
    chat.wait_for("view_info");
    chat
}

#[test]
fn a_password_comes_from_a_flag_a_file_a_link_or_the_environment() {
    let (_reflector, url) = teatime().reflector(&[]);
    // It begins with a dash, as those of password managers may.
    let password = "-dash and spaces";
    let folder = private_directory("passwords");
    let file = folder.join("password");
    // Written by an editor of another system, and with a remark behind it.
    fs::write(&file, format!("\u{feff}{password}\r\nfor the room safe\r\n"))
        .expect("there is room");
    let file = file.to_str().expect("UTF-8");
    let mut first = chat(&url, &["--password", password], None);
    let link = first.last("joined")["link"].as_str().expect("a string").to_owned();
    let mut all = [
        chat(&url, &["--password-file", file], Some("a flag comes first")),
        chat(&url, &[], Some(password)),
        Program::spawn(
            teatime()
                .command(&["chat", "--json", &link])
                .env("TEATIME_PASSWORD", "the link comes first"),
        ),
    ];
    first.wait_for_participants(4);
    first.post("hello");
    all.iter_mut().for_each(|one| drop(one.wait_for_line("hello")));
}

#[test]
fn a_password_that_cannot_be_read_is_a_usage_error() {
    let folder = private_directory("bad-passwords");
    let empty = folder.join("empty");
    fs::write(&empty, "\nsecond line").expect("there is room");
    let empty = empty.to_str().expect("UTF-8");
    let missing = folder.join("missing");
    let missing = missing.to_str().expect("UTF-8");
    for (more, why) in [
        (&["--password-file", empty][..], "empty"),
        (&["--password-file", missing], missing),
        (&["--password-file", missing, "--password", "x"], "--password"),
        (&["--password", ""], "password"),
    ] {
        let (code, output, errors) = run(&[&["chat", "--plain"], more].concat(), "");
        assert_eq!((code, output.as_str()), (Some(2), ""), "{more:?}: {errors}");
        assert!(errors.contains(why), "{more:?}: {errors}");
    }
}
