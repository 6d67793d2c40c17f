//! An export as records of named values, one at a time: JSON (a list, a list within an object, or an object a line), CSV with a
//! line of names, or the `COPY` blocks of `pg_dump`. Which of them it is shows at its beginning.

use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::cli::CommandError;

/// Values by name. In CSV and `COPY` all of them are texts.
pub(super) type Fields = Map<String, Value>;

/// One record, or why it is none.
pub(super) struct Record {
    /// Where it is, for people: "record 17".
    pub(super) place: String,
    /// The table, where the file names it.
    pub(super) table: Option<String>,
    pub(super) fields: Result<Fields, String>,
}

type Each<'a> = &'a mut dyn FnMut(Record) -> Result<(), CommandError>;

/// Hands over every record of a file.
///
/// # Errors
/// When the file cannot be read, or is broken in a way that hides where the next record begins; or what `each` answers.
pub(super) fn read(file: &Path, each: Each<'_>) -> Result<(), CommandError> {
    let unreadable = |reason: &dyn fmt::Display| {
        CommandError::Other(format!("{} cannot be read: {reason}", file.display()))
    };
    read_from(BufReader::new(File::open(file).map_err(|reason| unreadable(&reason))?), each, &unreadable)
}

fn read_from(
    mut reader: impl BufRead,
    each: Each<'_>,
    unreadable: Unreadable<'_>,
) -> Result<(), CommandError> {
    let start = reader.fill_buf().map_err(|reason| unreadable(&reason))?;
    // A mark that Windows puts at the beginning of UTF-8.
    let skipped = if start.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let start = &start[skipped..];
    let first = start.iter().copied().find(|byte| !byte.is_ascii_whitespace());
    let is_dump = [&b"--"[..], b"SET ", b"COPY ", b"\\restrict"].iter().any(|word| start.starts_with(word));
    reader.consume(skipped);
    match first {
        None => Ok(()),
        Some(b'[' | b'{') => read_json(reader, each, unreadable),
        Some(_) if is_dump => read_dump(reader, each, unreadable),
        Some(_) => read_csv(reader, each),
    }
}

type Unreadable<'a> = &'a dyn Fn(&dyn fmt::Display) -> CommandError;

fn read_csv(reader: impl BufRead, each: Each<'_>) -> Result<(), CommandError> {
    let mut reader = csv::Reader::from_reader(reader);
    let names = match reader.headers() {
        Ok(names) => names.clone(),
        Err(_) => return Err(CommandError::Other("the first line is not one of CSV with names".to_owned())),
    };
    for (number, record) in reader.into_records().enumerate() {
        let fields = match record {
            Ok(record) => Ok(names
                .iter()
                .zip(record.iter())
                .map(|(name, text)| {
                    // Null and the empty text are written alike, or null in words.
                    let null = text.is_empty() || text.eq_ignore_ascii_case("null");
                    (name.to_owned(), if null { Value::Null } else { text.into() })
                })
                .collect()),
            Err(error) if error.is_io_error() => {
                return Err(CommandError::Other("the file cannot be read to its end".to_owned()));
            }
            Err(_) => Err("it has another number of values than there are names, or is not UTF-8".to_owned()),
        };
        each(Record { place: format!("record {}", number + 1), table: None, fields })?;
    }
    Ok(())
}

/// `COPY auth.users (id, email) FROM stdin;`, then values between tabs, then `\.`
/// (<https://www.postgresql.org/docs/current/sql-copy.html>, "Text Format").
fn read_dump(
    mut reader: impl BufRead,
    each: Each<'_>,
    unreadable: Unreadable<'_>,
) -> Result<(), CommandError> {
    let mut block: Option<(String, Vec<String>)> = None;
    let (mut line, mut number) = (Vec::new(), 0_u64);
    loop {
        line.clear();
        number += 1;
        if reader.read_until(b'\n', &mut line).map_err(|reason| unreadable(&reason))? == 0 {
            return Ok(());
        }
        let Ok(text) = std::str::from_utf8(&line) else {
            if let Some((table, _)) = &block {
                let fields = Err("it is not UTF-8".to_owned());
                each(Record { place: format!("line {number}"), table: Some(table.clone()), fields })?;
            }
            continue;
        };
        let text = text.trim_end_matches(['\n', '\r']);
        match &block {
            None => block = beginning(text),
            Some(_) if text == "\\." => block = None,
            Some((table, names)) => {
                let values: Vec<&str> = text.split('\t').collect();
                let fields = if values.len() == names.len() {
                    Ok(names.iter().cloned().zip(values.into_iter().map(unescaped)).collect())
                } else {
                    Err("it has another number of values than there are columns".to_owned())
                };
                each(Record { place: format!("line {number}"), table: Some(table.clone()), fields })?;
            }
        }
    }
}

fn beginning(line: &str) -> Option<(String, Vec<String>)> {
    let (table, rest) = line.strip_prefix("COPY ")?.split_once(" (")?;
    let names = rest.strip_suffix(") FROM stdin;")?;
    let bare = |name: &str| name.trim().replace('"', "");
    Some((bare(table), names.split(',').map(bare).collect()))
}

fn unescaped(text: &str) -> Value {
    if text == "\\N" {
        return Value::Null;
    }
    let (mut plain, mut characters) = (String::with_capacity(text.len()), text.chars());
    while let Some(character) = characters.next() {
        plain.push(match character {
            '\\' => match characters.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some('r') => '\r',
                Some(other) => other,
                None => '\\',
            },
            other => other,
        });
    }
    Value::String(plain)
}

fn read_json(reader: impl BufRead, each: Each<'_>, unreadable: Unreadable<'_>) -> Result<(), CommandError> {
    let mut json = serde_json::Deserializer::from_reader(reader);
    let mut records = Records { each, number: 0, failure: None };
    loop {
        if let Err(error) = records.deserialize_all(&mut json) {
            return Err(records.failure.unwrap_or_else(|| unreadable(&error)));
        }
        // More values may follow, an object a line.
        if json.end().is_ok() {
            return Ok(());
        }
    }
}

struct Records<'a> {
    each: Each<'a>,
    number: u64,
    failure: Option<CommandError>,
}

impl Records<'_> {
    fn deserialize_all<'de, D: Deserializer<'de>>(&mut self, json: D) -> Result<(), D::Error> {
        Values(self).deserialize(json)
    }

    fn hand_over<E: serde::de::Error>(&mut self, value: Value) -> Result<(), E> {
        self.number += 1;
        let fields = match value {
            Value::Object(fields) => Ok(fields),
            _ => Err("it is not an object".to_owned()),
        };
        let record = Record { place: format!("record {}", self.number), table: None, fields };
        (self.each)(record).map_err(|failure| {
            self.failure = Some(failure);
            E::custom("stopped")
        })
    }
}

/// A list of records, an object with such a list in it, or one record.
struct Values<'a, 'b>(&'a mut Records<'b>);

impl<'de> DeserializeSeed<'de> for Values<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Values<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(value) = list.next_element::<Value>()? {
            self.0.hand_over(value)?;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (mut fields, mut wrapper) = (Fields::new(), false);
        while let Some(name) = map.next_key::<String>()? {
            // `firebase auth:export` and Supabase's API have "users", PocketBase's API "items"; a record has its id first.
            if matches!(name.as_str(), "users" | "items") && !fields.contains_key("id") {
                wrapper = true;
                map.next_value_seed(Values(self.0))?;
            } else {
                fields.insert(name, map.next_value()?);
            }
        }
        if wrapper { Ok(()) } else { self.0.hand_over(Value::Object(fields)) }
    }
}

#[cfg(test)]
mod fuzzed;
