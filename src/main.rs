//! The `tokenbooth` command: parse the command line, run the command. See [`tokenbooth::cli`].

fn main() {
    tokenbooth::cli::run()
}
