//! The commands, one file each.

use std::io::Write;

use clap::{CommandFactory as _, Parser, Subcommand};
use iosmux_service::log::LevelFilter;
use iosmux_service::packaging::{self, Completions};

mod check_config;
mod failure;
mod holder;
mod resume;
mod run;
mod sources;
mod supervise;
mod up;

use failure::Failure;

/// Keeps a tunnel to every iPhone on this computer's links, and serves the registry that other tools use
#[derive(Debug, Parser)]
#[command(name = "iosmux-tunneld", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 failure, 2 usage or configuration, 4 permission, 6 unsupported here.
Logs: IOSMUX_LOG=debug, or of one part: IOSMUX_LOG=iosmux_mdns=trace. As JSON: IOSMUX_LOG_FORMAT=json. Colours: off with NO_COLOR.";

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Arguments),
    Up(up::Arguments),
    CheckConfig(check_config::Arguments),
    Completions(Completions),
    /// Print the manual page
    Man,
    #[command(hide = true, name = iosmux_tunneld::remoted::watchdog::COMMAND)]
    ResumeAbandoned(resume::Arguments),
}

impl Cli {
    /// Which log lines are shown unless a variable says otherwise: in the foreground only what is wrong.
    pub(crate) fn log_level(&self) -> LevelFilter {
        if matches!(self.command, Command::Run(_)) { LevelFilter::INFO } else { LevelFilter::WARN }
    }
}

/// Runs the command of the command line; `out` takes its results.
pub(crate) fn run(cli: Cli, mut out: impl Write + Send + 'static) -> Result<(), Failure> {
    match cli.command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Up(arguments) => up::run(&arguments, out),
        Command::CheckConfig(arguments) => check_config::run(&arguments, &mut out),
        Command::Completions(arguments) => Ok(arguments.print(Cli::command(), &mut out)?),
        Command::Man => Ok(packaging::print_manual(Cli::command(), &mut out)?),
        Command::ResumeAbandoned(arguments) => resume::run(&arguments, &mut out),
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
        for name in ["run", "up", "check-config", "completions", "man"] {
            let help = command.find_subcommand_mut(name).unwrap().render_long_help();
            insta::assert_snapshot!(format!("help_{}", name.replace('-', "_")), help);
        }
    }
}
