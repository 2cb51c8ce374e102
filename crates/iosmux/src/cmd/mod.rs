//! The subcommands, one file each.

use std::io;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use iosmux_service::packaging::{self, Completions};

use crate::failure::{self, Told};
use crate::output::Output;

#[cfg(target_os = "linux")]
pub(crate) mod demo;
mod doctor;
mod status;

/// An iPhone on a Linux host, in a macOS VM as if the VM owned the cable.
#[derive(Debug, Parser)]
#[command(name = "iosmux", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 failure, 2 usage, 3 device not found, 4 permission, 5 not paired, 6 unsupported here.
Logs: IOSMUX_LOG=debug, or of one part: IOSMUX_LOG=iosmux_mdns=trace. Colours: off with NO_COLOR.";

#[derive(Debug, Subcommand)]
enum Command {
    // Its lab is made of Linux's namespaces.
    #[cfg(target_os = "linux")]
    Demo(demo::Arguments),
    Status(status::Arguments),
    Doctor(doctor::Arguments),
    Completions(Completions),
    /// Print the manual page
    Man,
}

/// Runs the command of the command line. The process must still have one thread.
pub(crate) fn run(cli: Cli) -> ExitCode {
    let output = Output::new();
    output.log();
    let result = match cli.command {
        #[cfg(target_os = "linux")]
        Command::Demo(arguments) => demo::run(&arguments, &output),
        Command::Status(arguments) => status::run(&arguments, &output),
        Command::Doctor(arguments) => doctor::run(&arguments, &output),
        Command::Completions(arguments) => {
            arguments.print(Cli::command(), &mut io::stdout()).map_err(Into::into)
        }
        Command::Man => packaging::print_manual(Cli::command(), &mut io::stdout()).map_err(Into::into),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !error.is::<Told>() {
                output.error(&error);
            }
            failure::exit(&error).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_reads_as_intended() {
        let mut command = Cli::command().term_width(100);
        command.build();
        insta::assert_snapshot!("help", command.render_help());
        for name in ["demo", "status", "doctor", "completions", "man"] {
            let subcommand = command.find_subcommand_mut(name).unwrap();
            insta::assert_snapshot!(format!("help_{name}"), subcommand.render_long_help());
        }
    }
}
