//! The commands. One that fails says why in one line on stderr and ends with exit code 1.

mod check;
mod client;
mod database;
mod demo;
mod events;
mod explain_token;
mod health;
mod import;
mod keys;
mod login;
mod provider;
mod selftest;
mod sessions;
mod store;
mod user;

use std::io::{self, Write};

use clap::{Parser, Subcommand};
use log::LevelFilter;

use crate::app::{App, StartError};
use crate::db::copy::CopyError;
use crate::db::{self, DbError};
use crate::keys::KeysError;
use crate::mock::MockError;
use crate::settings::{LogFormat, LogSettings, Settings, SettingsError, Sources};
use crate::{openapi, telemetry};

/// A token booth for APIs: hand in a Google or GitHub token, get the application's own.
#[derive(Parser)]
#[command(version, about, after_help = "Settings: config/default.toml describes them all.")]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until SIGTERM or Ctrl-C (what is done without a command)
    Serve,
    /// Try everything on this machine: no account, no network, no settings
    Demo,
    /// Bring the database's schema up to date
    Migrate,
    /// Say what is wrong with settings, database, clock and providers, and how to mend it
    Check(check::Check),
    /// Ask the service on this machine whether it is ready, as `GET /readyz` says it; for containers without a shell
    Health,
    /// Decode a token, and say what tokenbooth makes of it and why
    ExplainToken {
        /// The token; "-" or nothing reads it from standard input, where no process list shows it
        token: Option<String>,
    },
    /// Sign in with GitHub from this terminal, and print the token
    Login(login::Login),
    /// Try some hundred attacks against a running service, this one or another, and say which of them it accepts
    Selftest(selftest::Selftest),
    /// Print the OpenAPI document, or what Postman imports
    Openapi {
        /// The collection instead: every request, made from the document
        #[arg(long, conflicts_with = "postman_environment")]
        postman: bool,
        /// The environment that goes with the collection
        #[arg(long)]
        postman_environment: bool,
    },
    /// Look at the keys that sign tokens, make new ones and take old ones out of use, while the service runs
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Say whose people a provider's name stands for
    #[command(subcommand)]
    Provider(provider::ProviderCommand),
    /// Look at users, and let them in or keep them out
    #[command(subcommand)]
    User(user::UserCommand),
    /// Look at who stays signed in where, and end it
    #[command(subcommand)]
    Sessions(sessions::SessionsCommand),
    /// Make services that sign in for themselves, and keep them out
    #[command(subcommand)]
    Client(client::ClientCommand),
    /// Look at what happened to accounts
    #[command(subcommand)]
    Events(events::EventsCommand),
    /// Take over the users of Supabase Auth, Firebase Authentication or PocketBase, as they export them
    Import(import::Import),
    /// Move to another database
    #[command(subcommand, name = "db")]
    Store(store::StoreCommand),
}

/// Why a command failed. One line each.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error(transparent)]
    Db(#[from] DbError),
    #[error(transparent)]
    Mock(#[from] MockError),
    #[error(transparent)]
    Copy(#[from] CopyError),
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
    /// The command has said what was wrong; only the exit code is left to tell.
    #[error("")]
    Told,
    #[error("{0}")]
    Other(String),
}

/// Reads the command line, runs the command, and ends the process.
///
/// The exit handlers of C libraries do not run: OpenSSL's frees what a thread with a connection to PostgreSQL uses that is still
/// connecting or ending, and the process would die of SIGSEGV. Everything that is to be kept has been written by then.
pub fn run() -> ! {
    let code = run_command();
    // Nothing can be done when stdout is closed.
    let _ = io::stdout().flush();
    signal_hook::low_level::exit(code)
}

/// Runs the command of the command line, and returns the exit code.
fn run_command() -> i32 {
    const SUCCESS: i32 = 0;
    const FAILURE: i32 = 1;
    let command = CommandLine::parse().command.unwrap_or(Command::Serve);
    let system = actix_web::rt::System::new();
    let done = system.block_on(execute(command));
    // Dropping it would wait for threads that wait for a database which does not respond.
    std::mem::forget(system);
    match done {
        Ok(()) => SUCCESS,
        // Somebody closed the pipe we were writing to; that is theirs to do.
        Err(CommandError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => SUCCESS,
        Err(CommandError::Told) => FAILURE,
        Err(error) => {
            // Nothing can be done when stderr is closed too.
            let _ = writeln!(io::stderr(), "tokenbooth: {error}");
            FAILURE
        }
    }
}

async fn execute(command: Command) -> Result<(), CommandError> {
    match command {
        Command::Serve => serve_or_log_why_not().await,
        Command::Demo => demo::run().await,
        Command::Migrate => migrate(&settings()?),
        Command::Check(options) => check::run(&options).await,
        Command::Health => health::run(&settings()?),
        Command::ExplainToken { token } => explain_token::run(settings()?, token).await,
        Command::Login(options) => login::run(&options).await,
        Command::Selftest(options) => selftest::run(&options).await,
        Command::Openapi { postman, postman_environment } => {
            let text = if postman {
                openapi::postman::collection()
            } else if postman_environment {
                openapi::postman::environment()
            } else {
                openapi::document()
            };
            Ok(io::stdout().write_all(text.as_bytes())?)
        }
        Command::Keys(command) => keys::run(&settings()?, &command),
        Command::Provider(command) => provider::run(&settings()?, &command),
        Command::User(command) => user::run(&settings()?, &command),
        Command::Sessions(command) => sessions::run(&settings()?, &command),
        Command::Client(command) => client::run(&settings()?, command),
        Command::Events(command) => events::run(&settings()?, &command),
        Command::Import(options) => import::run(&settings()?, &options),
        Command::Store(command) => store::run(&command),
    }
}

fn settings() -> Result<Settings, SettingsError> {
    Sources::from_process().load()
}

/// Whoever reads the log of a service by program reads there why it did not start, too.
async fn serve_or_log_why_not() -> Result<(), CommandError> {
    let sources = Sources::from_process();
    match serve(&sources).await {
        Err(error) if sources.log_format() == LogFormat::Json => {
            // When the settings were not even read, the log has not begun.
            telemetry::start(LogSettings { format: LogFormat::Json, level: LevelFilter::Info });
            log::error!("{error}");
            Err(CommandError::Told)
        }
        result => result,
    }
}

async fn serve(sources: &Sources) -> Result<(), CommandError> {
    let settings = sources.load()?;
    telemetry::start(settings.log);
    let nobody_can_sign_in = settings.providers.is_empty();
    let app = App::build(settings)?;
    // Not before: when it does not start, the reason is the one line to read.
    if nobody_can_sign_in {
        log::warn!(
            "no provider is configured: set providers.google.client_ids, for example; `tokenbooth demo` needs none"
        );
    }
    Ok(app.run_until_stopped().await?)
}

fn migrate(settings: &Settings) -> Result<(), CommandError> {
    let done = db::migrate(&settings.database.url)?;
    let mut out = io::stdout();
    for name in &done {
        writeln!(out, "{name}")?;
    }
    Ok(writeln!(out, "{} migrations done, the schema is up to date", done.len())?)
}
