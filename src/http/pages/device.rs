//! A device as its owner knows it.

/// Tried in order: most browsers name those before them, too.
const BROWSERS: [(&str, &str); 8] = [
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
];
const SYSTEMS: [(&str, &str); 7] = [
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
];
const MAX_CHARACTERS: usize = 60;

/// What a `User-Agent` says, in a word or two. It is the client's own word, so no more is made of it.
pub(super) fn readable(user_agent: Option<&str>) -> String {
    let Some(text) = user_agent else { return "Unknown device".to_owned() };
    let one_of = |known: &[(&str, &'static str)]| {
        known.iter().find(|(sign, _)| text.contains(sign)).map(|(_, name)| *name)
    };
    match (one_of(&BROWSERS), one_of(&SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(name), None) | (None, Some(name)) => name.to_owned(),
        (None, None) => text.chars().take(MAX_CHARACTERS).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::readable;

    #[test]
    fn a_user_agent_becomes_browser_and_system() {
        for (text, expected) in [
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
                "Chrome on Linux",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36 Edg/130.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
                "Safari on iPhone",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:132.0) Gecko/20100101 Firefox/132.0",
                "Firefox on macOS",
            ),
            ("okhttp/4.12.0", "okhttp/4.12.0"),
        ] {
            assert_eq!(readable(Some(text)), expected);
        }
        assert_eq!(readable(None), "Unknown device");
        assert_eq!(readable(Some(&"x".repeat(200))).len(), 60);
    }
}
