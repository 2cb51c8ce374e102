//! How long things may take.

use std::time::Duration;

use super::hop::Hop;

/// The deadlines of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// RSD on the link: two ports to dial at three seconds each, and an exchange.
    pub rsd: Duration,
    /// Verifying or making trust, while no person is waited for.
    pub pair: Duration,
    /// How long the phone's user may take to tap Trust.
    pub trust: Duration,
    /// A listener, the connection to it, and an interface.
    pub tunnel: Duration,
    /// RSD inside of the tunnel.
    pub catalogue: Duration,
    /// How long a tunnel may be in doubt; the tunnel's own liveness decides before.
    pub suspect: Duration,
    /// How often a locked phone is looked at.
    pub locked: Duration,
    /// A tunnel that was up this long was a good one: failures are counted from zero again.
    pub settled: Duration,
    /// How often an address is tried that nobody announces.
    pub unannounced_attempts: u32,
}

impl Default for Policy {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            rsd: seconds(12),
            pair: seconds(30),
            trust: seconds(120),
            tunnel: seconds(25),
            catalogue: seconds(12),
            suspect: seconds(20),
            locked: seconds(5),
            settled: seconds(10),
            unannounced_attempts: 3,
        }
    }
}

impl Policy {
    /// The deadline of a hop.
    pub(super) fn deadline(&self, hop: Hop) -> Duration {
        match hop {
            Hop::Rsd => self.rsd,
            Hop::Pair { .. } => self.pair,
            Hop::Tunnel => self.tunnel,
            Hop::Catalogue => self.catalogue,
        }
    }
}
