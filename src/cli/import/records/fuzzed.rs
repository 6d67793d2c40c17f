use clap::ValueEnum;
use proptest::prelude::*;
use serde_json::json;

use super::super::source::Source;
use super::{Record, read_from};
use crate::cli::CommandError;
use crate::clock::Timestamp;
use crate::email;
use crate::fuzzed::{bytes, config, text};

const WORDS: [&str; 46] = [
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\\",
    "\n",
    "\r\n",
    "\t",
    "\\N",
    "\\.",
    "\u{feff}",
    "null",
    "true",
    "1e400",
    "-1",
    "1700000000000",
    "COPY auth.users (",
    "id, email",
    ") FROM stdin;\n",
    "SET x;\n",
    "id,email,created_at\n",
    "{\"users\":[",
    "{\"items\":[",
    "\"id\":",
    "\"localId\":",
    "\"1\"",
    "\"0192f0c1-0000-7000-8000-000000000000\"",
    "\"email\":",
    "\"a@b.example\"",
    "\"emailVerified\":true",
    "\"verified\":true",
    "\"created\":",
    "\"createdAt\":",
    "\"2026-01-01 00:00:00.000Z\"",
    "\"9999-12-31T23:59:60+23:59\"",
    "\"providerUserInfo\":[{\"providerId\":\"google.com\",\"rawId\":\"7\"}]",
    "\"encrypted_password\":",
    "\"passwordHash\":",
    "\"$argon2id$v=19$m=19456,t=2,p=1$\"",
    "\"provider\":\"google\"",
    "\"identity_data\":{}",
    "\"email_confirmed_at\":",
    "\"+00\"",
];

fn records_of(input: &[u8]) -> (Vec<Record>, Result<(), CommandError>) {
    let mut records = Vec::new();
    let ended = read_from(
        input,
        &mut |record| {
            records.push(record);
            Ok(())
        },
        &|reason| CommandError::Other(reason.to_string()),
    );
    (records, ended)
}

proptest! {
    #![proptest_config(config())]

    /// Each record has a place, and is a person or an identity, or is none for a reason.
    #[test]
    fn no_export_is_too_odd(input in bytes(&WORDS)) {
        for record in records_of(&input).0 {
            prop_assert!(record.place.starts_with("record ") || record.place.starts_with("line "));
            let Ok(fields) = record.fields else { continue };
            for source in Source::value_variants() {
                if let Ok(person) = source.person(&fields, Timestamp(1_800_000_000)) {
                    prop_assert!(person.user.email.as_deref().is_none_or(email::is_plausible));
                }
                let _ = source.way(&fields);
            }
        }
    }

    /// Texts come out as they were written, in each of the formats that have them.
    #[test]
    fn a_text_is_read_as_it_was_written(value in text(&WORDS), copies in 1usize..3) {
        let escaped = value.replace('\\', "\\\\").replace('\n', "\\n").replace('\t', "\\t").replace('\r', "\\r");
        let row = format!("1\t{escaped}\n").repeat(copies);
        let json = json!({ "id": "1", "email": value });
        let list = vec![json.clone(); copies];
        let wrapped = json!({ "users": list }).to_string();
        let lines = format!("{json}\n").repeat(copies);
        let dump = format!("COPY auth.users (id, email) FROM stdin;\n{row}\\.\n");
        for input in [json!(list).to_string(), wrapped, lines, dump] {
            // A mark at the beginning is none of the text.
            for input in [input.clone(), format!("\u{feff}{input}")] {
                let (records, ended) = records_of(input.as_bytes());
                prop_assert!(ended.is_ok(), "{}", input);
                prop_assert_eq!(records.len(), copies, "{}", &input);
                for record in records {
                    prop_assert_eq!(&record.fields.map_err(|reason| reason + &input).unwrap()["email"], value.as_str());
                }
            }
        }
    }
}
