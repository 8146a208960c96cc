//! The program: hands over to the command line and returns its exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    netalias::cli::main()
}
