//! The demo: the product's main job, hop by hop, in the lab.

mod catalogue;
mod discover;
mod hold;
mod mdns_tap;
mod phones;
mod report;

use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::future::try_join_all;
use iosmux_capture::Recorder;

use crate::cmd::demo::Arguments;
use crate::lab::{self, Isolation, Lab, LinkUp};
use crate::output::Output;
use catalogue::Phone;
use phones::Phones;
use report::{Report, Timings};

/// Runs the demo. `start` is when the program started. The lab is returned when it shall stay up.
pub(crate) async fn run(
    arguments: &Arguments,
    isolation: Isolation,
    start: Instant,
    output: &Output,
) -> Result<Option<Lab>> {
    let recorder = arguments.capture.as_ref().map(Recorder::create).transpose()?;
    let step = output.step("lab", "building namespaces and cables", start);
    let lab = Lab::build(arguments.phones).await?;
    let lab_took =
        step.done(&format!("{} namespaces on the bridge {}", lab.namespaces().count(), lab::BRIDGE));

    let step = output.step("address detection", "waiting for the kernel", Instant::now());
    let link = lab.bring_up().await?;
    step.done("the kernel's duplicate-address detection");
    record_mdns(&lab, &link, recorder.as_ref()).await?;

    let step = output.step("phones", "starting simulated iPhones", Instant::now());
    let mut phones = Phones::start(&lab).await?;
    let phones_took =
        step.done(&format!("{} announced", count(phones.ready.len() as u64, "simulated iPhone")));

    let found = tokio::select! {
        found = find_and_read(&lab, recorder.as_ref(), output) => found?,
        failure = phones.failure() => return Err(failure),
    };
    let timings = Timings {
        lab: lab_took,
        address_detection: link.detection,
        phones: phones_took,
        discover: found.discover,
        catalogue: found.catalogue,
        total: start.elapsed(),
    };
    finish_recording(recorder.as_ref(), output)?;
    let namespaces = if arguments.hold { hold::namespaces(&lab, isolation) } else { Vec::new() };
    let report = Report {
        phones: &found.phones,
        simulated: &phones.ready,
        interface: lab.vm.interface,
        timings,
        namespaces: &namespaces,
    };
    show(&report, arguments, output)?;
    Ok(arguments.hold.then_some(lab))
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

/// What the VM learned, and how long the hops took.
struct Found {
    phones: Vec<Phone>,
    discover: Duration,
    catalogue: Duration,
}

async fn find_and_read(lab: &Lab, recorder: Option<&Recorder>, output: &Output) -> Result<Found> {
    let (wanted, index) = (lab.phones.len(), lab.vm.index);
    let step = output.step("discover", "browsing for _remoted._tcp", Instant::now());
    let addresses = lab.vm.namespace.run(move || discover::discover(index, wanted)).await?;
    let discover = step.done(&format!("{} found by mDNS", count(addresses.len() as u64, "phone")));

    let step = output.step("catalogue", "RSD handshakes over RemoteXPC", Instant::now());
    let recorder = recorder.cloned();
    let read = move || async move {
        try_join_all(addresses.into_iter().map(|address| catalogue::read(address, recorder.as_ref()))).await
    };
    let mut phones = lab.vm.namespace.run(read).await?;
    let services: usize = phones.iter().map(|phone| phone.services).sum();
    let catalogue = step.done(&format!("{} read over RemoteXPC", count(services as u64, "service")));
    phones.sort_by(|one, other| one.udid.cmp(&other.udid));
    Ok(Found { phones, discover, catalogue })
}

async fn record_mdns(lab: &Lab, link: &LinkUp, recorder: Option<&Recorder>) -> Result<()> {
    let Some(recorder) = recorder.cloned() else { return Ok(()) };
    let link = mdns_tap::Link { address: link.vm, index: lab.vm.index };
    lab.vm.namespace.run(move || async move { mdns_tap::start(recorder, link) }).await
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
