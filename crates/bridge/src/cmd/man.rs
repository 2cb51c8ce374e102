//! `iosmux-bridge man`, for packages.

use std::io::Write;

use clap::Command;
use clap_mangen::Man;

use super::failure::Failure;

/// Prints the manual page: the program, then each command that people use.
pub(super) fn run(mut command: Command, out: &mut dyn Write) -> Result<(), Failure> {
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
