//! The commands, one file each.

use std::future::Future;
use std::io::Write;

use clap::{CommandFactory as _, Parser, Subcommand};
use iosmux_service::log::LevelFilter;
use iosmux_service::packaging::{self, Completions};

mod alone;
mod check_config;
mod failure;
mod list;
mod mode;
mod run;
mod start;
mod supervise;
mod told;
mod up;

use failure::Failure;

/// Makes an iPhone on this computer's USB a port of a bridge, so that a VM on that bridge has it on its own link
#[derive(Debug, Parser)]
#[command(name = "iosmux-bridge", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 failure, 2 usage or configuration, 3 no such phone, 4 permission, 6 unsupported here.
Logs: IOSMUX_LOG=debug, or of one part: IOSMUX_LOG=iosmux_bridge::phone=trace. As JSON: IOSMUX_LOG_FORMAT=json. Colours: off with NO_COLOR.";

#[derive(Debug, Subcommand)]
enum Command {
    Up(up::Arguments),
    Run(run::Arguments),
    List(list::Arguments),
    Switch(mode::Switch),
    Restore(mode::Restore),
    CheckConfig(check_config::Arguments),
    Completions(Completions),
    /// Print the manual page
    Man,
}

impl Cli {
    /// Which log lines are shown unless a variable says otherwise: in the foreground only errors, what is wrong with a phone
    /// is among the results.
    pub(crate) fn log_level(&self) -> LevelFilter {
        match self.command {
            Command::Run(_) => LevelFilter::INFO,
            _ => LevelFilter::ERROR,
        }
    }
}

/// Runs the command of the command line; `out` takes its results.
pub(crate) fn run(cli: Cli, mut out: impl Write + Send + 'static) -> Result<(), Failure> {
    match cli.command {
        Command::Up(arguments) => up::run(&arguments, out),
        Command::Run(arguments) => run::run(&arguments),
        Command::List(arguments) => list::run(&arguments, &mut out),
        Command::Switch(arguments) => mode::switch(&arguments, &mut out),
        Command::Restore(arguments) => mode::restore(&arguments, &mut out),
        Command::CheckConfig(arguments) => check_config::run(&arguments, &mut out),
        Command::Completions(arguments) => Ok(arguments.print(Cli::command(), &mut out)?),
        Command::Man => Ok(packaging::print_manual(Cli::command(), &mut out)?),
    }
}

/// Runs one thread for all that waits.
fn block_on(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(work);
    // A request to a phone that does not answer is not waited for.
    runtime.shutdown_background();
    done
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
        for name in ["up", "run", "list", "switch", "restore", "check-config", "completions", "man"] {
            let help = command.find_subcommand_mut(name).unwrap().render_long_help();
            insta::assert_snapshot!(format!("help_{}", name.replace('-', "_")), help);
        }
    }
}
