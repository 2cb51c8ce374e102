//! The guests, and which of them a test wants.

use cargo_metadata::Package;
use clap::ValueEnum;
use std::fmt;

/// A machine that tests run in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Guest {
    /// Debian's kernel 6.12 with busybox.
    #[value(name = "6.12")]
    Linux612,
    /// Debian's kernel 6.1 with busybox.
    #[value(name = "6.1")]
    Linux61,
    /// Debian trixie: kernel 6.12, systemd, udev, usbmuxd.
    #[value(name = "systemd")]
    Systemd,
}

impl Guest {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Linux612, Self::Linux61, Self::Systemd];

    /// Its name in metadata, on the command line and in results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Linux612 => "6.12",
            Self::Linux61 => "6.1",
            Self::Systemd => "systemd",
        }
    }

    /// Its kernel: Debian's suite, and the series that this must be.
    pub(crate) fn kernel(self) -> (&'static str, &'static str) {
        match self {
            Self::Linux612 | Self::Systemd => ("trixie", "6.12"),
            Self::Linux61 => ("bookworm", "6.1"),
        }
    }

    /// What its kernel is told besides what every guest's is.
    pub(crate) fn kernel_words(self) -> &'static str {
        match self {
            Self::Linux612 | Self::Linux61 => "",
            // Its units' states are in the journal, which is on the console.
            Self::Systemd => "systemd.show_status=0",
        }
    }
}

impl fmt::Display for Guest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Reads `[package.metadata.iosmux] vm-tests = { TARGET = ["6.12", …] }`.
pub(crate) fn guests_of(package: &Package, target: &str) -> Result<Vec<Guest>, String> {
    let wrong = |what: &str| {
        let names = Guest::ALL.map(Guest::name).join(", ");
        format!("{}: [package.metadata.iosmux] vm-tests.{target} {what} of {names}", package.name)
    };
    let listed = package.metadata["iosmux"]["vm-tests"][target].as_array();
    let listed = listed.filter(|names| !names.is_empty()).ok_or_else(|| wrong("must be a list"))?;
    let guest = |name: &str| Guest::ALL.into_iter().find(|guest| guest.name() == name);
    let known = listed.iter().map(|name| name.as_str().and_then(guest));
    known.collect::<Option<Vec<_>>>().ok_or_else(|| wrong("holds another word than one"))
}
