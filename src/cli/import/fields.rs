//! Single values of a record, however the export writes them.

use chrono::{DateTime, NaiveDateTime};
use serde_json::Value;

use super::records::Fields;
use crate::clock::Timestamp;
use crate::email;
use crate::provider::clean_name;
use crate::text::nfc;
use crate::user::is_avatar_url;

/// A text that is not empty; a number is one, too.
pub(super) fn text(fields: &Fields, name: &str) -> Option<String> {
    match fields.get(name)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The first of these names that has a text.
pub(super) fn first_text(fields: &Fields, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| text(fields, name))
}

/// `true`, as JSON, CSV, PostgreSQL and SQLite write it. Anything else is not.
pub(super) fn truth(fields: &Fields, name: &str) -> bool {
    match fields.get(name) {
        Some(Value::Bool(truth)) => *truth,
        Some(Value::String(text)) => matches!(text.as_str(), "true" | "t" | "TRUE" | "1"),
        Some(Value::Number(number)) => number.as_i64() == Some(1),
        _ => false,
    }
}

/// An object, or one written into a text.
pub(super) fn object(fields: &Fields, name: &str) -> Fields {
    match fields.get(name) {
        Some(Value::Object(object)) => object.clone(),
        Some(Value::String(text)) => serde_json::from_str(text).unwrap_or_default(),
        _ => Fields::new(),
    }
}

/// A moment: RFC 3339, or as PostgreSQL and PocketBase write it (`2024-01-31 12:34:56.789+00`, `… 12:34:56.789Z`).
pub(super) fn moment(fields: &Fields, name: &str) -> Option<Timestamp> {
    let text = text(fields, name)?;
    let mut text = text.trim().replacen(' ', "T", 1);
    let hours_only = text.len() > 19
        && text.get(text.len() - 3..).is_some_and(|end| {
            end.starts_with(['+', '-']) && end.chars().skip(1).all(|digit| digit.is_ascii_digit())
        });
    if hours_only {
        text.push_str(":00");
    }
    let with_zone = DateTime::parse_from_rfc3339(&text).map(|moment| moment.timestamp());
    let in_utc = || {
        NaiveDateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f")
            .map(|moment| moment.and_utc().timestamp())
    };
    with_zone.or_else(|_| in_utc()).ok().map(Timestamp)
}

/// Unix milliseconds, as a text or as a number.
pub(super) fn milliseconds(fields: &Fields, name: &str) -> Option<Timestamp> {
    Some(Timestamp(text(fields, name)?.parse::<i64>().ok()?.div_euclid(1000)))
}

/// A single address, or none.
pub(super) fn email(fields: &Fields, name: &str) -> Option<String> {
    let email = text(fields, name).filter(|email| email::is_plausible(email))?;
    Some(nfc(&email).into_owned())
}

/// A name fit to be shown.
pub(super) fn name(fields: &Fields, names: &[&str]) -> Option<String> {
    first_text(fields, names).and_then(|name| clean_name(&name))
}

/// A picture fit to be shown.
pub(super) fn avatar(fields: &Fields, names: &[&str]) -> Option<String> {
    first_text(fields, names).filter(|url| is_avatar_url(url))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Fields, moment};
    use crate::clock::Timestamp;

    #[test]
    fn a_moment_is_understood_in_every_form_that_exports_have() {
        for (text, seconds) in [
            ("2024-01-31T12:34:56Z", Some(1_706_704_496)),
            ("2024-01-31T12:34:56.789123+00:00", Some(1_706_704_496)),
            ("2024-01-31 12:34:56.789+00", Some(1_706_704_496)),
            ("2024-01-31 12:34:56+05:30", Some(1_706_684_696)),
            ("2024-01-31 04:34:56-08", Some(1_706_704_496)),
            ("2024-01-31 12:34:56.789Z", Some(1_706_704_496)),
            ("2024-01-31 12:34:56", Some(1_706_704_496)),
            ("yesterday", None),
            ("", None),
        ] {
            let fields: Fields = [("at".to_owned(), json!(text))].into_iter().collect();
            assert_eq!(moment(&fields, "at"), seconds.map(Timestamp), "{text}");
        }
    }
}
