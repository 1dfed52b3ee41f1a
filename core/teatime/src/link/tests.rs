//! Every link leads back, and every changed one leads back or is refused.

use super::*;

fn link() -> JoinLink {
    JoinLink {
        reflector: "ws://192.0.2.1:9090".into(),
        app: "org.example.chat".into(),
        name: "kitchen".into(),
        options: Some(b"\x81\xaainactivity\x3c".to_vec()),
        password: Some("two sugars".into()),
    }
}

fn all() -> Vec<JoinLink> {
    let plain = JoinLink { options: None, password: None, ..link() };
    let named = JoinLink { name: "Tea & cake / ünï #1?".into(), ..link() };
    let secure = JoinLink { reflector: "wss://[::1]:1".into(), options: None, ..link() };
    let short = JoinLink { reflector: "wss://example.org".into(), ..plain.clone() };
    vec![link(), plain, named, secure, short]
}

/// Names and passwords of all kinds, up to the longest that the API takes.
fn texts(longest: usize) -> Vec<String> {
    let characters = (0..=0x2ff).chain([0x301, 0x200b, 0x2014, 0x202e, 0xfeff, 0xffff, 0x1fad6]);
    let mut texts: Vec<_> = characters.filter_map(char::from_u32).map(String::from).collect();
    for around in &texts.clone() {
        texts.push(format!("a{around}b"));
        texts.push(format!("{around}a{around}"));
    }
    let of_links =
        [".", "..", "a--b", "-a", "~", "%2F", "%252F", "a/b", "teatime://h/a/b#c", "\\#", "=\n"];
    texts.extend(of_links.map(String::from));
    texts.extend(["x", "-", "🫖", "%"].map(|one| one.repeat(longest / one.len())));
    texts
}

#[test]
fn every_name_and_password_leads_back_and_needs_no_quotes() {
    // Not those with a special meaning in any shell: sh, zsh with its extended patterns, fish, PowerShell.
    let unquoted = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":/.-_%#".contains(&byte))
    };
    let mut links = all();
    links.extend(texts(128).into_iter().map(|name| JoinLink { name, ..link() }));
    links.extend(texts(128).into_iter().map(|app| JoinLink { app, ..link() }));
    let password = |password| JoinLink { password: Some(password), ..link() };
    links.extend(texts(1024).into_iter().map(password));
    for link in links {
        let text = link.to_string();
        assert!(unquoted(&text), "{text}");
        assert!(text.ends_with(|end: char| end.is_ascii_alphanumeric()), "{text}");
        assert_eq!(text.parse(), Ok(link), "{text}");
    }
}

#[test]
fn the_links_on_the_protocol_page_are_real() {
    let page = include_str!("../../../wire/PROTOCOL.md");
    let mut links = page.lines().filter(|line| line.starts_with("teatime://"));
    let plain = JoinLink { options: None, password: None, ..link() };
    for link in [plain, link()] {
        let text = links.next().expect("the page has two links");
        assert_eq!((text, text.parse()), (&*link.to_string(), Ok(link)));
    }
}

/// What happens to a link on its way.
type Change = fn(&str) -> String;

/// What messengers, mail programs and people make of a link. All of it leads back.
#[test]
fn changed_links_that_still_say_everything_lead_back() {
    let changes: &[(&str, Change)] = &[
        ("sentence", |link| format!("{link}.")),
        ("comma", |link| format!("{link},")),
        ("brackets", |link| format!("({link})")),
        ("exclamation", |link| format!("{link}!?…")),
        ("angle brackets", |link| format!("<{link}>")),
        ("quotes", |link| format!("\"{link}\"")),
        ("typographic quotes", |link| format!("„{link}“")),
        ("French quotes", |link| format!("« {link} »")),
        ("bold", |link| format!("*_{link}_*")),
        ("escaped once", |link| link.replace('#', "%23")),
        ("escaped twice", |link| link.replace('#', "%2523")),
        ("escaped as a whole", |link| {
            let (scheme, rest) = link.split_once("://").expect("it is a link");
            let escaped: String = rest.bytes().map(|byte| format!("%{byte:02x}")).collect();
            format!("{scheme}://{escaped}")
        }),
        ("line breaks", |link| wrap(link, "\r\n")),
        ("blanks", |link| wrap(link, " ")),
        ("escaped blanks", |link| wrap(link, "%20")),
        ("escaped line breaks", |link| wrap(link, "%0D%0A")),
        ("blanks of forms", |link| wrap(link, "+")),
        ("an escaped full stop", |link| format!("%22{link}%22.")),
        ("HTML", |link| format!("<a href=\"{link}\">").replace("<a href=", "")),
        ("numeric entities", |link| link.replace('#', "&#35;").replace(':', "&#x3a;")),
        ("named entities", |link| link.replace(':', "&colon;").replace('/', "&sol;")),
        ("all entities", |link| link.chars().map(|one| format!("&#{};", u32::from(one))).collect()),
        ("entities twice", |link| link.replace('#', "&amp;#35;").replace('.', "&amp;period;")),
        ("entities around", |link| format!("&nbsp;&quot;{link}&quot;&gt;here&lt;/a&gt;")),
        ("an entity behind", |link| format!("{link}&nbsp;")),
        ("quotes and a text behind", |link| format!("\"{link}\">here</a>")),
        ("typed with digits", |link| {
            // Not the host, and not the names as they are.
            let (host, rest) = link.split_once("/-").expect("it has a check");
            let (check, rest) = rest.split_once('/').expect("it has names");
            let digits = |text: &str| text.replace('o', "0").replace('l', "1").replace('b', "8");
            let (public, password) = match rest.split_once('#') {
                Some((public, password)) => (public, format!("#{}", digits(password))),
                None => (rest, String::new()),
            };
            format!("{host}/-{}/{public}{password}", digits(check))
        }),
        ("zero width", |link| wrap(link, "\u{200b}")),
        ("byte order mark", |link| format!("\u{feff}{link}\u{2060}")),
        ("directions", |link| format!("\u{202a}{link}\u{202c}")),
        ("soft hyphens", |link| wrap(link, "\u{ad}")),
        ("another dash", |link| link.replace('-', "\u{2011}")),
        ("backslashes", |link| link.replace('#', "\\#").replace('-', "\\-").replace('.', "\\.")),
        ("upper case", |link| {
            let (scheme, rest) = link.split_once("://").expect("it is a link");
            let (host, rest) = rest.split_once('/').expect("it has parts");
            format!("{}://{}/{rest}", scheme.to_uppercase(), host.to_uppercase())
        }),
        ("brackets of IPv6", |link| link.replace("%5B", "[").replace("%5D", "]")),
        ("a slash", |link| match link.split_once('#') {
            Some((public, password)) => format!("{public}/#{password}"),
            None => format!("{link}/"),
        }),
        ("a parameter", |link| match link.split_once('#') {
            Some((public, password)) => format!("{public}?utm_source=x&amp;y=%20z#{password}"),
            None => format!("{link}?utm_source=x&amp;y=z"),
        }),
        ("an empty fragment", |link| match link.contains('#') {
            true => link.to_owned(),
            false => format!("{link}#"),
        }),
        ("parameters with entities", |link| match link.split_once('#') {
            Some((public, password)) => format!("{public}?utm=x&amp;amp;y=&quot;#{password}"),
            None => format!("{link}?utm=x&#38;y=&#34;"),
        }),
    ];
    for link in all() {
        for (what, change) in changes {
            let changed = change(&link.to_string());
            assert_eq!(changed.parse(), Ok(link.clone()), "{what}: {changed}");
        }
    }
}

fn wrap(link: &str, with: &str) -> String {
    let pieces: Vec<_> =
        link.as_bytes().chunks(17).map(|piece| String::from_utf8_lossy(piece)).collect();
    pieces.join(with)
}

#[test]
fn a_link_that_lost_its_password_is_refused() {
    let whole = link().to_string();
    let (public, password) = whole.split_once('#').expect("it has a password");
    for cut in
        [public.to_owned(), format!("{public}#"), format!("{public}%23"), format!("{public}.")]
    {
        let error = cut.parse::<JoinLink>().expect_err(&cut).to_string();
        assert!(error.contains("expected a password behind #, found none"), "{error}");
        assert!(error.contains("Copy the whole link"), "{error}");
    }
    let other = JoinLink { name: "cellar".into(), ..link() }.to_string();
    let (_, of_other) = other.split_once('#').expect("it has a password");
    for wrong in [&password[1..], &password[..password.len() - 1], of_other] {
        let error = format!("{public}#{wrong}").parse::<JoinLink>().expect_err(wrong).to_string();
        assert!(error.contains("password behind # is not complete"), "{error}");
        assert!(!error.contains(wrong), "{error}");
    }
    // A room without a password does not get one.
    let open = JoinLink { password: None, ..link() }.to_string();
    assert!(format!("{open}#{password}").parse::<JoinLink>().is_err());
}

/// Whatever happens to one place of a link, it leads back or is refused.
#[test]
fn no_cut_or_changed_link_leads_to_another_session() {
    let odd = ['#', '/', '-', '?', '&', '%', '+', '.', ' ', 'a', 'A', '2', ':', '@', '\u{e9}'];
    let mut refused = 0;
    for link in all() {
        let text: Vec<_> = link.to_string().chars().collect();
        let mut check = |changed: String| match changed.parse::<JoinLink>() {
            Ok(other) => assert_eq!(other, link, "{changed}"),
            Err(_) => refused += 1,
        };
        for at in 0..=text.len() {
            let (before, behind) = text.split_at(at);
            check(before.iter().collect());
            for more in 1..=behind.len().min(12) {
                check(before.iter().chain(&behind[more..]).collect());
            }
            for with in odd {
                check(before.iter().chain([&with]).chain(behind).collect());
                check(before.iter().chain([&with]).chain(behind.iter().skip(1)).collect());
            }
        }
    }
    assert!(refused > 5_000, "{refused}");
}

#[test]
fn texts_that_are_not_links_are_refused_with_one_readable_line() {
    for (wrong, why) in [
        ("", "expected teatime://"),
        ("tea", "expected teatime://"),
        ("https://example.org/a/b", "expected teatime://"),
        ("teatime://host", "give reflector, room and password"),
        ("teatime://host/app/room#sesame", "give the reflector ws://host, the room \"room\""),
        ("teatime:///-aaaaaaaa/app/room", "Copy the whole link"),
        ("teatime://host/-aaaaaaaa/app", "Copy the whole link"),
        ("teatime://host/-aaaaaaaa/app/room%23sesame", "Copy the whole link"),
        ("teatime://host/-aaaaaaaa/app/%ff#sesame", "Copy the whole link"),
        ("teatime://host:99999/-aaaaaaaa/app/room", "Copy the whole link"),
    ] {
        let error = wrong.parse::<JoinLink>().expect_err(wrong).to_string();
        assert!(error.contains(why) && !error.contains('\n'), "{wrong}: {error}");
        assert!(!error.contains("sesame"), "{error}");
    }
}

/// What people type. Nothing says whether it is whole, so it leads nowhere, and the error says what leads there.
#[test]
fn a_link_that_was_typed_by_hand_is_refused_with_what_it_may_mean() {
    let there = "give the reflector ws://host:9090, the room \"my küche\" and its password instead";
    for typed in [
        "teatime://host:9090/teatime.chat/my küche",
        "TeaTime://host:9090/teatime.chat/my küche/",
        "teatime://host:9090/teatime.chat/my%20k%C3%BCche",
        "teatime://host:9090/teatime.chat/my küche#sesame",
        "teatime://host:9090/teatime.chat/my küche?x=1#sesame",
        "\"teatime://host:9090/teatime.chat/my küche#two sesame",
    ] {
        let error = typed.parse::<JoinLink>().expect_err(typed);
        assert!(matches!(error, LinkError::Unchecked { .. }), "{error:?}");
        let error = error.to_string();
        assert!(error.contains(there), "{typed}: {error}");
        assert!(!error.contains("sesame"), "{error}");
    }
    let error = "teatimes://[::1]/a/b/c/room".parse::<JoinLink>().expect_err("typed").to_string();
    assert!(error.contains("the reflector wss://[::1]/a/b, the room \"room\""), "{error}");
    // An error shows no text of any length.
    let long = format!("teatime://{}.example/app/room", "a".repeat(5_000));
    let error = long.parse::<JoinLink>().expect_err("typed").to_string();
    assert!(error.len() < 1_000, "{error}");
    // A made link that has lost its check is not one that was typed.
    let made = link().to_string();
    let (host, rest) = made.split_once("/-").expect("it has a check");
    let (_, names) = rest.split_once('/').expect("it has names");
    assert!(format!("{host}/{names}").parse::<JoinLink>().is_err());
}

#[test]
fn neither_debug_output_nor_an_error_shows_the_password() {
    let shown = format!("{:?}", JoinLink { password: Some("sesame".into()), ..link() });
    assert!(shown.contains("kitchen") && !shown.contains("sesame"), "{shown}");
    for wrong in ["http://h/app/room#sesame", "teatime:///app/room#sesame", "teatime#sesame"] {
        let error = wrong.parse::<JoinLink>().expect_err("it is invalid");
        assert!(!format!("{error} {error:?}").contains("sesame"), "{error}");
    }
}
