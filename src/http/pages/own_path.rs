//! Where a sign-in may lead back to.

/// The text, when a browser that is sent there stays with us: a path, which cannot be read as the name of a host and cannot
/// end a header.
pub(super) fn own_path(text: &str) -> Option<&str> {
    let rest = text.strip_prefix('/')?;
    let plain = !rest.starts_with('/') && !text.chars().any(|c| c == '\\' || c.is_control() || c == ' ');
    let lower = text.to_ascii_lowercase();
    let hidden = ["%0d", "%0a", "%5c"].iter().any(|hidden| lower.contains(hidden));
    (plain && !hidden).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::own_path;

    #[test]
    fn only_a_path_of_our_own_is_one() {
        for good in ["/", "/account", "/account?after=a%2Fb", "/auth/", "/a//b"] {
            assert_eq!(own_path(good), Some(good));
        }
        for bad in [
            "",
            "account",
            "//evil.example",
            "/\\evil.example",
            "\\/evil",
            "https://evil.example",
            "/a\r\nb",
            "/a%0d%0ab",
            "/a%0Ab",
            "/%5cevil",
            "/%5Cevil",
            "/\tevil",
            "/a b",
            "javascript:alert(1)",
        ] {
            assert_eq!(own_path(bad), None, "{bad:?}");
        }
    }
}
