//! Texts that people type and read: Unicode's normal form, and characters that nobody sees.

use std::borrow::Cow;

use icu_normalizer::ComposingNormalizerBorrowed;

/// Returns a text in Unicode's composed form (NFC), in which `é` is one character however it was typed.
#[must_use]
pub(crate) fn nfc(text: &str) -> Cow<'_, str> {
    ComposingNormalizerBorrowed::new_nfc().normalize(text)
}

/// Returns whether a character takes no room or changes the direction of those around it, so that two texts that differ in it
/// look the same, or one reads as another: Unicode's `Bidi_Control`, zero-width characters, separators of lines, and tags.
/// Variation selectors are not among them: they choose between forms of one character, in Japanese names among others.
#[must_use]
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' // soft hyphen
        | '\u{34f}' // combining grapheme joiner
        | '\u{61c}' // Arabic letter mark
        | '\u{180e}' // Mongolian vowel separator
        | '\u{200b}'..='\u{200f}' // zero-width space, non-joiner and joiner; direction marks
        | '\u{2028}'..='\u{202e}' // separators of lines and paragraphs; embeddings and overrides
        | '\u{2060}'..='\u{206f}' // word joiner, invisible operators, isolates, deprecated controls
        | '\u{feff}' // byte order mark
        | '\u{fff9}'..='\u{fffb}' // interlinear annotation
        | '\u{e0000}'..='\u{e007f}' // tags
    )
}
