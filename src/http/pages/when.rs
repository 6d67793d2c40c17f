//! A moment as pages show one.

use std::fmt;

use askama::filters::HtmlSafe;
use chrono::DateTime;

use crate::clock::Timestamp;

/// `<time>`, for programs in RFC 3339 and for people in words, in UTC: the server does not know where they are.
pub(super) struct When(pub(super) Timestamp);

/// Digits, letters and punctuation of a date: nothing of it means anything in HTML.
impl HtmlSafe for When {}

impl When {
    /// In words alone.
    pub(super) fn human(&self) -> String {
        let date = DateTime::from_timestamp(self.0.0, 0);
        date.map_or_else(|| self.0.to_string(), |date| date.format("%-d %b %Y, %H:%M UTC").to_string())
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<time datetime=\"{}\">{}</time>", self.0, self.human())
    }
}

#[cfg(test)]
mod tests {
    use super::When;
    use crate::clock::Timestamp;

    #[test]
    fn a_moment_is_for_programs_and_for_people() {
        let shown = When(Timestamp(1_795_237_200)).to_string();
        assert_eq!(shown, "<time datetime=\"2026-11-21T05:00:00Z\">21 Nov 2026, 05:00 UTC</time>");
    }
}
