//! The demo: the product's main job, hop by hop, in the lab.

mod catalogue;
mod discover;
mod hold;
mod hops;
mod link;
mod mdns_tap;
mod pair;
mod phones;
mod report;
mod rsd;
mod tunnel;

use std::time::Instant;

use anyhow::Result;
use futures_util::future::join_all;
use iosmux_capture::Recorder;
use iosmux_fakephone::accessory::PairPolicy;
use iosmux_lab::{self as lab, Isolation, Lab, LinkUp};
use zeroize::Zeroizing;

use crate::cmd::demo::Arguments;
use crate::output::Output;
use hops::{Arrival, Hops};
use pair::Records;
use phones::{Phones, State};
use report::{Report, Timings};
use tunnel::OpenTunnel;

/// A lab that stays up, with the tunnels in it.
pub(crate) struct Held {
    tunnels: Vec<OpenTunnel>,
    lab: Lab,
}

impl Held {
    /// Ends the tunnels and then the lab.
    pub(crate) async fn end(self) {
        join_all(self.tunnels.into_iter().map(OpenTunnel::close)).await;
        self.lab.settle().await;
    }
}

/// Runs the demo. `start` is when the program started. The lab is returned when it shall stay up.
pub(crate) async fn run(
    arguments: &Arguments,
    isolation: Isolation,
    start: Instant,
    output: &Output,
) -> Result<Option<Held>> {
    let recorder = arguments.capture.as_ref().map(Recorder::create).transpose()?;
    let records = records(arguments)?;
    let step = output.step("lab", "building namespaces and cables", start);
    let lab = Lab::build(arguments.phones).await?;
    let lab_took =
        step.done(&format!("{} namespaces on the bridge {}", lab.namespaces().count(), lab::BRIDGE));

    let step = output.step("address detection", "waiting for the kernel", Instant::now());
    let link = lab.bring_up().await?;
    step.done("the kernel's duplicate-address detection");
    record_mdns(&lab, &link, recorder.as_ref()).await?;

    let step = output.step("phones", "starting simulated iPhones", Instant::now());
    let mut phones = Phones::start(&lab, &state(arguments)).await?;
    let phones_took =
        step.done(&format!("{} announced", count(phones.ready.len() as u64, "simulated iPhone")));

    let (interface, wanted) = (lab.vm.index, lab.phones.len());
    let hops = Hops { interface, wanted, records, recorder: recorder.clone(), output: output.clone() };
    let Arrival { phones: found, tunnels, timings: hops } = tokio::select! {
        arrival = lab.vm.namespace.run(move || hops.walk()) => arrival??,
        failure = phones.failure() => return Err(failure),
    };
    let timings = Timings {
        lab: lab_took,
        address_detection: link.detection,
        phones: phones_took,
        hops,
        total: start.elapsed(),
    };
    finish_recording(recorder.as_ref(), output)?;
    let namespaces = if arguments.hold { hold::namespaces(&lab, isolation) } else { Vec::new() };
    let (simulated, interface) = (&phones.ready, lab.vm.interface);
    let report = Report { phones: &found, simulated, interface, timings, namespaces: &namespaces };
    show(&report, arguments, output)?;
    let held = Held { tunnels, lab };
    if arguments.hold {
        return Ok(Some(held));
    }
    held.end().await;
    Ok(None)
}

/// The VM's side of the pairings: in the directory `vm`, if anything is kept.
fn records(arguments: &Arguments) -> Result<Records> {
    let directory = arguments.state_dir.as_ref().map(|directory| directory.join("vm"));
    let shown = match &arguments.pair_policy {
        PairPolicy::Pin(pin) => Some(pin.digits()),
        _ => None,
    };
    let typed = arguments.pin.as_deref().or(shown).map(|pin| Zeroizing::new(pin.to_owned()));
    Records::open(directory.as_deref(), typed)
}

/// The phones' side of the pairings.
fn state(arguments: &Arguments) -> State {
    State { policy: arguments.pair_policy.clone(), directory: arguments.state_dir.clone() }
}

fn show(report: &Report<'_>, arguments: &Arguments, output: &Output) -> Result<()> {
    if arguments.json {
        output.json(&report.json())?;
    } else {
        output.result(&report.text())?;
    }
    if arguments.hold {
        output.note(&hold::page(report));
    }
    Ok(())
}

async fn record_mdns(lab: &Lab, link: &LinkUp, recorder: Option<&Recorder>) -> Result<()> {
    let Some(recorder) = recorder.cloned() else { return Ok(()) };
    let link = mdns_tap::Link { address: link.vm, index: lab.vm.index };
    lab.vm.namespace.run(move || async move { mdns_tap::start(recorder, link) }).await?
}

fn finish_recording(recorder: Option<&Recorder>, output: &Output) -> Result<()> {
    let Some(recorder) = recorder else { return Ok(()) };
    let summary = recorder.finish()?;
    output.note(&format!("recorded {}, {} bytes", count(summary.packets, "packet"), summary.bytes));
    Ok(())
}

fn count(number: u64, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}
