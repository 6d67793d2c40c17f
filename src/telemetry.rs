//! The log: one line an event on stderr, as text or as JSON. docs/LOGS.md lists its fields.
//!
//! Never logged, at any level: tokens, secrets, database addresses, e-mail addresses, paths and queries of requests.
//! Other crates are heard up to `info` only, whatever the level: below it some of them show whole requests.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::Write;
use std::panic::PanicHookInfo;
use std::time::{Duration, UNIX_EPOCH};

use env_logger::fmt::Formatter;
use log::kv::{Error, Key, Value, VisitSource};
use log::{LevelFilter, Log, Metadata, Record};

use crate::clock::{Clock, SystemClock};
use crate::settings::{LogFormat, LogSettings};

/// Starts logging for the process, its panics included. `RUST_LOG`, when set, takes the place of `log.level`. A second call
/// does nothing.
pub fn start(settings: LogSettings) {
    let mut builder = env_logger::Builder::new();
    builder.filter_level(settings.level).parse_default_env();
    builder.format(match settings.format {
        LogFormat::Text => |line: &mut Formatter, record: &Record<'_>| text(line, record),
        LogFormat::Json => |line: &mut Formatter, record: &Record<'_>| json(line, record),
    });
    let logger = builder.build();
    let level = logger.filter();
    if log::set_boxed_logger(Box::new(Discreet(logger))).is_ok() {
        log::set_max_level(level);
        std::panic::set_hook(Box::new(log_panic));
    }
}

/// A line like any other, where Rust's own report has several and knows no JSON.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let message = panic_message(panic);
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        log::error!(location = location.as_str(), thread = thread, backtrace:% = backtrace; "panicked: {message}");
    } else {
        log::error!(location = location.as_str(), thread = thread; "panicked: {message}");
    }
}

/// A text that was written in the source. One that was put together when it happened may hold what a client sent: a text cut
/// in the middle of a character is quoted in whole, and could be a token.
fn panic_message(panic: &PanicHookInfo<'_>) -> &'static str {
    panic.payload().downcast_ref::<&'static str>().copied().unwrap_or("(its text may quote a request)")
}

/// Keeps other crates' chatter out.
struct Discreet(env_logger::Logger);

impl Log for Discreet {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let ours = metadata.target().split("::").next() == Some("tokenbooth");
        (ours || metadata.level() <= LevelFilter::Info) && self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            self.0.log(record);
        }
    }

    fn flush(&self) {
        self.0.flush();
    }
}

fn text(line: &mut Formatter, record: &Record<'_>) -> std::io::Result<()> {
    struct Pairs<'a>(&'a mut Formatter);

    impl<'kvs> VisitSource<'kvs> for Pairs<'_> {
        fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
            let value = value.to_string();
            let plain = !value.is_empty()
                && !value.contains(|c: char| c.is_whitespace() || c.is_control() || c == '"');
            let written =
                if plain { write!(self.0, " {key}={value}") } else { write!(self.0, " {key}={value:?}") };
            written.map_err(Error::boxed)
        }
    }

    // A message with a line break would look like two events.
    let message =
        record.args().to_string().escape_debug().to_string().replace("\\\"", "\"").replace("\\'", "'");
    write!(line, "{} {:5} {} {message}", now(), record.level(), record.target())?;
    record.key_values().visit(&mut Pairs(line)).map_err(std::io::Error::other)?;
    writeln!(line)
}

fn json(line: &mut Formatter, record: &Record<'_>) -> std::io::Result<()> {
    struct Members(serde_json::Map<String, serde_json::Value>);

    impl<'kvs> VisitSource<'kvs> for Members {
        fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
            // The four below are there once, and are what they are said to be.
            if !self.0.contains_key(key.as_str()) {
                self.0.insert(key.to_string(), plain(&value));
            }
            Ok(())
        }
    }

    let mut members = Members(serde_json::Map::new());
    members.0.insert("time".to_owned(), now().into());
    members.0.insert("level".to_owned(), record.level().as_str().to_lowercase().into());
    members.0.insert("target".to_owned(), record.target().into());
    members.0.insert("message".to_owned(), record.args().to_string().into());
    record.key_values().visit(&mut members).map_err(std::io::Error::other)?;
    writeln!(line, "{}", serde_json::Value::Object(members.0))
}

/// A number stays one, and a text of digits a text.
fn plain(value: &Value<'_>) -> serde_json::Value {
    if let Some(number) = value.to_u64() {
        number.into()
    } else if let Some(number) = value.to_i64() {
        number.into()
    } else if let Some(number) = value.to_f64() {
        number.into()
    } else if let Some(truth) = value.to_bool() {
        truth.into()
    } else {
        value.to_string().into()
    }
}

/// RFC 3339 in UTC, to the millisecond: lines of several replicas are sorted by it.
fn now() -> String {
    let since = Duration::from_millis(u64::try_from(SystemClock.now_in_milliseconds()).unwrap_or_default());
    humantime::format_rfc3339_millis(UNIX_EPOCH + since).to_string()
}
