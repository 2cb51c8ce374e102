//! peers: clients that we did not write.

use super::{Session, net};
use crate::{artifacts, provision};
use anyhow::{Context as _, Result};

pub(super) const ABOUT: [(&str, &str); 3] = [
    (
        "proves",
        "pymobiledevice3, go-ios, the idevice crate and avahi agree with our phone, and our client with theirs",
    ),
    (
        "needs",
        "namespaces as net does; Debian's, PyPI's and npm's packages on first use, kept in $IOSMUX_CACHE",
    ),
    ("budget", "on 2 cores, with net: 12 minutes warm; the first time also a minute of downloads (120 MB)"),
];

pub(super) fn run(session: &mut Session<'_>) -> Result<()> {
    let environment = provision::peers(session.log()).context("this tier can't run here")?;
    net::run_feature(session, artifacts::PEERS, &environment)
}
