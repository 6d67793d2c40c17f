//! A person as pages show one.

use crate::user::User;

/// A name and a picture.
pub(super) struct Person {
    /// The display name, or the next best thing.
    pub(super) name: String,
    pub(super) avatar_url: Option<String>,
    /// Shown where there is no picture, or until it is there.
    pub(super) initials: String,
}

impl Person {
    pub(super) fn of(user: &User) -> Self {
        let name = user.name.as_deref().or(user.email.as_deref()).unwrap_or("Somebody without a name");
        Self { name: name.to_owned(), avatar_url: user.avatar_url.clone(), initials: initials(name) }
    }
}

/// Of the first and the last word.
fn initials(name: &str) -> String {
    let mut words = name.split_whitespace().filter_map(|word| word.chars().find(|c| c.is_alphanumeric()));
    let first = words.next();
    first.into_iter().chain(words.next_back()).flat_map(char::to_uppercase).collect()
}

#[cfg(test)]
mod tests {
    use super::initials;

    #[test]
    fn initials_are_of_the_first_and_the_last_word() {
        for (name, expected) in [
            ("Alice Example", "AE"),
            ("alice", "A"),
            ("Anna Maria von Beispiel", "AB"),
            ("  ", ""),
            ("\u{e9}lodie (she) \u{df}", "\u{c9}SS"),
            ("--- !", ""),
        ] {
            assert_eq!(initials(name), expected, "{name:?}");
        }
    }
}
