//! The `meshd` program: the TLS provider first, then the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    meshd::adapters::http::install_provider();
    meshd::cli::main()
}
