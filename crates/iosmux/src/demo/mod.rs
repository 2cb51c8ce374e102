//! The demo: the product's main job, hop by hop, in the lab. The daemon in it is the real one.

mod daemon;
mod follow;
mod hold;
mod mdns_tap;
mod phones;
mod report;

use std::time::Instant;

use anyhow::Result;
use iosmux_capture::Recorder;
use iosmux_fakephone::accessory::PairPolicy;
use iosmux_lab::{self as lab, Isolation, Lab, LinkUp};
use zeroize::Zeroizing;

use crate::cmd::demo::Arguments;
use crate::output::Output;
use daemon::{Options, Running};
use phones::{Phones, State};
use report::{Phone, Report, Timings};

/// A lab that stays up, with the daemon in it.
pub(crate) struct Held {
    daemon: Running,
    lab: Lab,
}

impl Held {
    /// Ends the daemon and then the lab.
    pub(crate) async fn end(self) {
        self.daemon.end().await;
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

    let step = output.step("tunneld", "starting the daemon in the VM", Instant::now());
    let daemon = Running::start(&lab, options(arguments, recorder.as_ref())).await?;
    let tunneld = step.done(&format!("the daemon serves {}", daemon.url));

    let began = Instant::now();
    let hops = tokio::select! {
        hops = follow::follow(&daemon.fleet, lab.phones.len(), began, output) => hops?,
        failure = phones.failure() => return Err(failure),
    };
    let step = output.step("registry", "asking as tools do", Instant::now());
    let found: Vec<Phone> =
        daemon.registry(&lab).await?.into_iter().map(Phone::try_from).collect::<Result<_>>()?;
    let registry = step.done(&format!("{} listed for tools", count(found.len() as u64, "tunnel")));

    let (address_detection, total) = (link.detection, start.elapsed());
    let timings =
        Timings { lab: lab_took, address_detection, phones: phones_took, tunneld, hops, registry, total };
    finish_recording(recorder.as_ref(), output)?;
    let namespaces = if arguments.hold { hold::namespaces(&lab, isolation) } else { Vec::new() };
    let report = Report { phones: &found, simulated: &phones.ready, timings, namespaces: &namespaces };
    show(&report, arguments, output)?;
    let held = Held { daemon, lab };
    if arguments.hold {
        return Ok(Some(held));
    }
    held.end().await;
    Ok(None)
}

/// The VM's side of the pairings.
fn options<'a>(arguments: &'a Arguments, recorder: Option<&Recorder>) -> Options<'a> {
    let shown = match &arguments.pair_policy {
        PairPolicy::Pin(pin) => Some(pin.digits()),
        _ => None,
    };
    let typed = arguments.pin.as_deref().or(shown).map(|pin| Zeroizing::new(pin.to_owned()));
    Options { state_dir: arguments.state_dir.as_deref(), pin: typed, recorder: recorder.cloned() }
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
