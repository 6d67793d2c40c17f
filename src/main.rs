//! The `tokenbooth` command: parse the command line, run the command. See [`tokenbooth::cli`].

/// A request is a few dozen small allocations, freed by another thread at times: what glibc's is slowest at
/// (docs/PERFORMANCE.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    tokenbooth::cli::run()
}
