//! net: real sockets and links, in namespaces.

use super::Session;
use crate::artifacts::{self, Place};
use crate::namespace::Way;
use crate::provision;
use anyhow::{Context as _, Result, anyhow, ensure};

pub(super) const ABOUT: [(&str, &str); 3] = [
    (
        "proves",
        "discovery, RSD, the daemon and the demo over real sockets, links and bridges, as root and as an ordinary user",
    ),
    (
        "needs",
        "network namespaces: root, or unprivileged user namespaces; it says which switch forbids them; Debian's \
         libfaketime on first use, kept in $IOSMUX_CACHE",
    ),
    ("budget", "on 2 cores, with peers: 12 minutes warm; after unit nothing is left to build"),
];

pub(super) fn run(session: &mut Session<'_>) -> Result<()> {
    let environment = provision::net(session.log()).context("this tier can't run here")?;
    run_feature(session, artifacts::NET, &environment)
}

/// Runs the test programs behind `feature`, each where its package says.
pub(super) fn run_feature(
    session: &mut Session<'_>,
    feature: &str,
    environment: &[(String, String)],
) -> Result<()> {
    let built = session.built()?;
    let tests = built.of(Some(feature));
    ensure!(!tests.is_empty(), "no package has a test behind the feature {feature}");
    let way = Way::find(&session.project.work_dir()).context("this tier can't run here")?;
    for test in tests {
        let packages = session.project.packages();
        let package = packages.into_iter().find(|package| *package.name == test.package);
        let package = package.ok_or_else(|| anyhow!("package {} vanished", test.package))?;
        match artifacts::place_of(package, feature, &test.target) {
            Ok(Place::Inside) => session.run_tests(test, Some(&way), environment)?,
            Ok(Place::Outside) => session.run_tests(test, None, environment)?,
            Err(reason) => session.check(&test.name(), Err(vec![reason])),
        }
    }
    Ok(())
}
