//! Settings: what is wrong is said in one line that names the key, what is expected and the remedy, never the value; and
//! which source wins.

mod bounds;
mod development_secret;
mod precedence;
mod providers;
mod refusals;

use crate::support::process::Tokenbooth;

/// Stands wherever a value must not be repeated.
const VALUE: &str = "hunter2-must-not-be-shown";

/// Starts the service, which must refuse in one line on stderr with exit code 1; answers with that line.
#[track_caller]
fn refusal(command: Tokenbooth) -> String {
    let mut ended = command.start();
    let status = ended.wait();
    let (stdout, stderr) = (ended.stdout(), ended.stderr());
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(stdout.is_empty(), "{stdout}");
    assert_eq!(stderr.lines().count(), 1, "more than one line:\n{stderr}");
    assert!(!stderr.contains(VALUE), "the value is shown: {stderr}");
    let line = stderr.strip_prefix("tokenbooth: ").expect("who says it");
    line.trim_end().to_owned()
}

/// The same with one setting in the environment and all others good.
#[track_caller]
fn refusal_of(key: &str, value: &str) -> String {
    refusal(serve().set(key, value))
}

/// The same with `config/default.toml`.
#[track_caller]
fn refusal_of_file(text: &str) -> String {
    refusal(serve().file("config/default.toml", text))
}

fn serve() -> Tokenbooth {
    Tokenbooth::new(&["serve"]).set("server.port", "0").set("database.start_timeout", "0s")
}

/// Where a remedy sends the reader who got a value wrong.
fn described(key: &str) -> String {
    let variable = key.replace('.', "__").to_uppercase();
    format!("config/default.toml describes it; the environment variable is TOKENBOOTH__{variable}")
}
