//! `iosmux demo`.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::{Args, value_parser};
use tokio::signal::unix::{SignalKind, signal};

use crate::demo;
use crate::lab;
use crate::output::Output;

/// Find, read and show simulated iPhones on a network of namespaces, all on this machine
///
/// Builds a lab (phone, host with a bridge, VM), lets a simulated iPhone announce itself in it, finds it by mDNS from
/// the VM, performs the RSD handshake over RemoteXPC and shows what was learned. Needs no rights where the kernel gives
/// user namespaces to ordinary users, and leaves nothing behind.
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
        if let Some(_lab) = held {
            stop.await;
            output.note("The lab is gone.");
        }
        Ok(())
    })
}
