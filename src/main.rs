//! The `tokenbooth` command: parse the command line, run the command. See [`tokenbooth::cli`].

fn main() -> std::process::ExitCode {
    tokenbooth::cli::run()
}
