use actix_web::http::header::HeaderValue;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;

use super::from_basic;
use crate::fuzzed::{bytes, config, text};

const WORDS: [&str; 14] = [
    "Basic ", "basic ", "Bearer ", " ", "=", "==", ":", "%", "%3A", "%ff", "+", "OjpcMDAw", "YTpi", "\u{e9}",
];

proptest! {
    #![proptest_config(config())]

    #[test]
    fn no_header_is_too_odd(header in bytes(&WORDS), inner in bytes(&WORDS)) {
        let inner = format!("Basic {}", BASE64_STANDARD.encode(inner)).into_bytes();
        for header in [header, inner] {
            if let Ok(header) = HeaderValue::from_bytes(&header) {
                let _ = from_basic(&header);
            }
        }
    }

    /// Whatever is in them, id and secret arrive as they were sent (RFC 6749 §2.3.1).
    #[test]
    fn credentials_that_are_sent_are_read(id in text(&WORDS), secret in text(&WORDS)) {
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let inner = format!("{}:{}", encode(&id), encode(&secret));
        let header = HeaderValue::from_str(&format!("Basic {}", BASE64_STANDARD.encode(inner))).expect("a header");
        let read = from_basic(&header).expect("credentials");
        prop_assert_eq!((read.id.as_str(), read.secret.expose()), (id.as_str(), secret.as_str()));
    }
}
