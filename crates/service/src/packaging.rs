//! What a package installs beside a program: completions and a manual page.

use std::io::{self, Write};

use clap::{Args, Command};
use clap_complete::{Shell, generate};
use clap_mangen::Man;

/// Print the completions of a shell
#[derive(Debug, Args)]
pub struct Completions {
    /// Which
    shell: Shell,
}

impl Completions {
    /// Prints those of `command`.
    ///
    /// # Errors
    ///
    /// What writing says.
    pub fn print(&self, mut command: Command, out: &mut dyn Write) -> io::Result<()> {
        let name = command.get_name().to_owned();
        // Into memory first: the generator panics when a pipe is closed.
        let mut text = Vec::new();
        generate(self.shell, &mut command, name, &mut text);
        out.write_all(&text)
    }
}

/// Prints the manual page of `command`: the program, then each command that people use.
///
/// # Errors
///
/// What writing says.
pub fn print_manual(mut command: Command, out: &mut dyn Write) -> io::Result<()> {
    command.build();
    Man::new(command.clone()).render(out)?;
    for subcommand in command.get_subcommands().filter(|one| !one.is_hide_set() && one.get_name() != "help") {
        let page = Man::new(subcommand.clone());
        writeln!(out, ".SH \"{}\"", subcommand.get_name().to_uppercase())?;
        page.render_description_section(out)?;
        page.render_options_section(out)?;
    }
    Ok(())
}
