//! iosmux-tunneld as a program: the command line, the logs, and how it ends.
//!
//! | file | what |
//! |---|---|
//! | `cmd` | the commands, one file each |
//! | `status` | what systemd is told of the phones |

mod cmd;
mod status;

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use iosmux_service::log;

fn main() -> ExitCode {
    let cli = cmd::Cli::parse();
    let stderr = io::stderr();
    let terminal = stderr.is_terminal();
    log::start(cli.log_level(), io::stderr, terminal, &stderr);
    match cmd::run(cli, io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if error.is_news() {
                // Nothing is left to say it to when stderr is closed.
                let _ = writeln!(io::stderr(), "iosmux-tunneld: {error}");
            }
            error.exit().into()
        }
    }
}
