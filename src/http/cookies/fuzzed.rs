use actix_web::http::header::{COOKIE, HeaderValue};
use actix_web::test::TestRequest;
use proptest::prelude::*;

use super::{Found, SESSION, all, find};
use crate::fuzzed::{bytes, config};

const WORDS: [&str; 14] =
    ["=", ";", "; ", ";;", " ", "\t", "\"", "\\", "%", ",", SESSION, "__Host-", "a=b", "\u{e9}"];

proptest! {
    #![proptest_config(config())]

    /// What other apps have set hides nothing of ours, before it or behind it, and adds nothing under its name.
    #[test]
    fn other_cookies_do_not_hide_ours(before in bytes(&WORDS), after in bytes(&WORDS)) {
        let ours = format!("{SESSION}=x.y.z");
        let lines = [before.clone(), [&before[..], b";", ours.as_bytes(), b";", &after[..]].concat()];
        let values = lines.map(|line| HeaderValue::from_bytes(&line));
        let [Ok(without), Ok(with)] = values else { return Ok(()) };
        let without = TestRequest::get().append_header((COOKIE, without)).to_http_request();
        let with = TestRequest::get().append_header((COOKIE, with)).to_http_request();
        prop_assert!(all(&with).any(|pair| pair == (SESSION, "x.y.z")));
        match find(&with, SESSION) {
            Found::Nothing => prop_assert!(false, "it is not found"),
            Found::One(value) => prop_assert_eq!((value, find(&without, SESSION)), ("x.y.z", Found::Nothing)),
            Found::Several => {}
        }
    }

    /// What is read can be written and read again.
    #[test]
    fn a_pair_that_is_written_is_read_again(line in bytes(&WORDS)) {
        let Ok(value) = HeaderValue::from_bytes(&line) else { return Ok(()) };
        let request = TestRequest::get().append_header((COOKIE, value)).to_http_request();
        let pairs: Vec<_> = all(&request).collect();
        let written: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let again = TestRequest::get().append_header((COOKIE, written.join("; "))).to_http_request();
        prop_assert_eq!(all(&again).collect::<Vec<_>>(), pairs);
    }
}
