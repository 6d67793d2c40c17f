//! How fast tokenbooth is, how small, and whether that got worse. The Makefile has the commands: `make bench`,
//! `make bench-micro` (criterion, `micro/main.rs`), `make bench-scale`, `make bench-instructions`.

mod backend;
mod error;
mod floor;
mod http;
mod instructions;
mod load;
mod people;
#[path = "../../tests/support/postgres.rs"]
#[expect(clippy::panic, reason = "written for tests; a benchmark without its database ends too")]
mod postgres;
mod run;
mod sample;
mod scale;
mod server;
mod statistics;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Benchmarks of tokenbooth.
#[derive(Parser)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The whole service under load, beside the floor: a bare actix-web handler
    Run(run::Arguments),
    /// Reads and exchanges with ever more users in the table
    Scale(scale::Arguments),
    /// Instructions per request, compared with the accepted ones
    Instructions(instructions::Arguments),
    /// Send requests (what `instructions` counts)
    #[command(hide = true)]
    InstructionsWorker {
        /// What to send
        order: PathBuf,
    },
    /// Serve the floor (what `run` compares with)
    #[command(hide = true)]
    Floor {
        /// On loopback
        #[arg(long)]
        port: u16,
    },
}

fn main() -> ExitCode {
    let result = match CommandLine::parse().command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Scale(arguments) => scale::run(&arguments),
        Command::Instructions(arguments) => instructions::run(&arguments),
        Command::InstructionsWorker { order } => instructions::work(&order),
        Command::Floor { port } => floor::serve(port),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tokenbooth-benches: {error}");
            ExitCode::FAILURE
        }
    }
}
