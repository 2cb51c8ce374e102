//! `iosmux demo`.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::{Args, value_parser};
use iosmux_fakephone::accessory::PairPolicy;
use iosmux_lab as lab;
use tokio::signal::unix::{SignalKind, signal};

use crate::demo;
use crate::output::Output;

/// Find simulated iPhones, pair with them, open tunnels and show what they offer, all on this machine
///
/// Builds a lab (phone, host with a bridge, VM), lets a simulated iPhone announce itself in it and runs the real daemon
/// in the VM: it finds the phone by mDNS, performs the RSD handshake over RemoteXPC, pairs, opens a tunnel and reads what
/// the phone offers inside of it. In the end the daemon's registry is asked as tools ask it.
/// Needs no rights where the kernel gives user namespaces to ordinary users and /dev/net/tun is open to them, and leaves
/// nothing behind; only when it is killed with SIGKILL the folder of its pairings stays in the one for temporary files.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// How many phones there are on the bridge
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = value_parser!(u16).range(1..=100))]
    pub(crate) phones: u16,
    /// Stay up afterwards and say how to join the namespaces
    #[arg(long)]
    pub(crate) hold: bool,
    /// Record the VM's connections and mDNS datagrams, for Wireshark
    #[arg(long, value_name = "FILE.pcapng")]
    pub(crate) capture: Option<PathBuf>,
    /// Keep both sides' pairings here, so that the next run needs none; without it they end with the demo
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// What the phones do when the VM wants to pair: accept, reject, pin:NNNNNN (show a PIN), backoff:SECONDS
    #[arg(long, value_name = "POLICY", default_value = "accept")]
    pub(crate) pair_policy: PairPolicy,
    /// What is typed when a phone shows its PIN; the right one unless this is given
    #[arg(long)]
    pub(crate) pin: Option<String>,
}

/// Runs the demo until it is done or a signal asks for its end.
pub(crate) fn run(arguments: &Arguments, output: &Output) -> Result<()> {
    let start = Instant::now();
    // A user namespace can be entered by a process of one thread only: nothing may start one before this.
    let isolation = lab::preflight()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let stop = async {
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        };
        let mut stop = std::pin::pin!(stop);
        let held = tokio::select! {
            held = demo::run(arguments, isolation, start, output) => held?,
            () = &mut stop => bail!("interrupted; the lab is gone"),
        };
        if let Some(held) = held {
            stop.await;
            held.end().await;
            output.note("The lab is gone.");
        }
        Ok(())
    })
}
