//! The expression for scanners of leaked secrets, run by a scanner's engine over what leaks.

use regex::Regex;

use super::*;

/// The keys of this brand in a text, as a scanner reports them: found, and the checksum fits.
fn reported(text: &str) -> Vec<String> {
    let scanner = Regex::new(&format().scanner_regex()).unwrap();
    let found = scanner.find_iter(text).map(|found| found.as_str());
    let is_key = |found: &&str| {
        Environment::ALL.into_iter().any(|environment| {
            KeyFormat::new("acme", environment)
                .unwrap()
                .read(found)
                .is_ok()
        })
    };
    found.filter(is_key).map(str::to_owned).collect()
}

#[test]
fn a_key_is_found_in_whatever_it_leaks_into() {
    for environment in Environment::ALL {
        let key = KeyFormat::new("acme", environment).unwrap();
        let key = key.mint(KeyId::new()).unwrap();
        let key = key.expose();
        for (place, text) in [
            ("alone", key.to_owned()),
            ("json", format!(r#"{{"name":"ci","key":"{key}","n":1}}"#)),
            ("json in json", format!(r#""{{\"key\":\"{key}\"}}""#)),
            (
                "an escaped line break",
                format!(r#""log":"key:\n{key}\nok""#),
            ),
            ("an escaped tab", format!(r"a\t{key}\tb")),
            ("a query", format!("https://api.example/v1?k={key}&page=2")),
            ("a path", format!("https://api.example/{key}/notes")),
            ("an encoded query", format!("q=%7B%22k%22%3A%22{key}%22%7D")),
            ("user info", format!("https://{key}:@api.example/")),
            ("quoted-printable", format!("key=3D{key}=20")),
            ("a shell line", format!("ACME_KEY={key} ./deploy --fast")),
            ("quotes", format!("export ACME_KEY='{key}';")),
            ("curl", format!("curl -H 'authorization: Bearer {key}' x")),
            (
                "minified script",
                format!(r#"var a={{k:"{key}",b:!0}};f(a)"#),
            ),
            ("a template", format!("`${{u}}{key}${{v}}`")),
            ("yaml", format!("acme:\n  key: {key}\n")),
            ("a table", format!("|{key}|")),
            ("a file name", format!("backup_{key}_old.txt")),
            ("prose", format!("Es ist {key}.")),
            ("prose without blanks", format!("鍵は{key}です")),
        ] {
            assert_eq!(reported(&text), [key], "{place}: {text}");
        }
    }
}

#[test]
fn keys_side_by_side_are_found_each() {
    let keys: Vec<_> = (0..3).map(|n| key_of([n; 32])).collect();
    let keys: Vec<_> = keys.iter().map(KeyText::expose).collect();
    for between in ["", " ", ",", "_", "x", "\n", "acme_", "acme_live_"] {
        assert_eq!(reported(&keys.join(between)), keys, "{between:?}");
    }
}

#[test]
fn what_is_nearly_a_key_is_not_reported() {
    let key = key_of([0xa7; 32]);
    let key = key.expose();
    let (head, tail) = key.split_at(33);
    for (what, text) in [
        ("another brand", key.replacen("acme", "acne", 1)),
        ("a brand in capitals", key.replacen("acme", "ACME", 1)),
        ("another environment", key.replacen("live", "prod", 1)),
        (
            "the environment of another deployment",
            key.replacen("live", "test", 1),
        ),
        ("a part missing", key.replacen("live_", "", 1)),
        ("what may be shown", head.to_owned()),
        ("a digit short", key[..key.len() - 1].to_owned()),
        (
            "a digit of the id short",
            key.replacen("live_0", "live_", 1),
        ),
        ("a hyphen", format!("{head}-{}", &tail[1..])),
        ("a blank", format!("{head} {tail}")),
        ("a line break", format!("{head}\n{tail}")),
        (
            "a typing error",
            format!("{head}{}", tail.replacen(&tail[5..7], "zz", 1)),
        ),
        (
            "a placeholder",
            format!("acme_live_{}_{}", "x".repeat(22), "x".repeat(49)),
        ),
        ("a key of a longer brand", {
            let longer = KeyFormat::new("myacme", Environment::Live).unwrap();
            longer.mint(KeyId::new()).unwrap().expose().to_owned()
        }),
    ] {
        assert_ne!(text, key, "{what}");
        assert_eq!(reported(&text), [""; 0], "{what}: {text}");
    }
}
