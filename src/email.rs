//! E-mail addresses: which texts can be one, and how they are compared. Two spellings of one mailbox must be one text, and two
//! mailboxes must never be.

use icu_normalizer::DecomposingNormalizerBorrowed;

use crate::text::{is_invisible, nfc};

/// RFC 5321 §4.5.3.1: 64 + "@" + 255. A longer address is none.
const MAX_BYTES: usize = 320;

/// Returns whether a text can be an address. It rejects what is no single address (`a@x,b@y`) and what looks like another one;
/// the provider verified the rest.
#[must_use]
pub(crate) fn is_plausible(address: &str) -> bool {
    let odd = |c: char| {
        c.is_control() || c.is_whitespace() || is_invisible(c) || matches!(c, ',' | ';' | '<' | '>')
    };
    address.len() <= MAX_BYTES
        && !address.contains(odd)
        && address.rsplit_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty())
}

/// Returns an address in the form that is stored to find it by: composed, and ASCII letters in lower case. Nothing cleverer:
/// folding more would make two mailboxes one.
#[must_use]
pub(crate) fn folded(address: &str) -> String {
    nfc(address).to_ascii_lowercase()
}

/// Returns an address that was typed, without the white space around it, in the forms under which it may be stored: as
/// [`folded`] writes it, and decomposed, if that differs, as earlier versions stored an address that came so.
#[must_use]
pub(crate) fn stored_forms(typed: &str) -> Vec<String> {
    let typed = typed.trim();
    let mut forms = vec![folded(typed)];
    let decomposed = DecomposingNormalizerBorrowed::new_nfd().normalize(typed).to_ascii_lowercase();
    if decomposed != forms[0] {
        forms.push(decomposed);
    }
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_however_it_is_typed() {
        for (typed, forms) in [
            ("Ada@Mail.com", &["ada@mail.com"][..]),
            (" \u{a0}ada@mail.com\n", &["ada@mail.com"]),
            ("Zoe\u{308}@mail.com", &["zo\u{eb}@mail.com", "zoe\u{308}@mail.com"]),
            ("zo\u{eb}@mail.com", &["zo\u{eb}@mail.com", "zoe\u{308}@mail.com"]),
            // Compatibility forms are other mailboxes.
            ("\u{fb01}@mail.com", &["\u{fb01}@mail.com"]),
        ] {
            assert_eq!(stored_forms(typed), forms, "{typed:?}");
        }
    }

    #[test]
    fn what_nobody_sees_is_in_no_address() {
        assert!(is_plausible("ada@mail.com"));
        for c in [
            '\u{ad}',
            '\u{61c}',
            '\u{200b}',
            '\u{200d}',
            '\u{202e}',
            '\u{2060}',
            '\u{2066}',
            '\u{feff}',
            '\u{e0061}',
        ] {
            assert!(!is_plausible(&format!("ada{c}@mail.com")), "{c:?}");
            assert!(!is_plausible(&format!("ada@mail{c}.com")), "{c:?}");
        }
    }
}
