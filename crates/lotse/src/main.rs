//! The `lotse` binary: reads the command line, calls the operation, shows the outcome.
//!
//! Each command is a file in `commands/`; what it does lives in the crates.

mod client;
mod commands;
mod disk;
mod environment;
mod hosts;
mod output;

use std::process::ExitCode;

/// Gives back to the system what a burst of connections took; the C library's allocator keeps it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    commands::run()
}
