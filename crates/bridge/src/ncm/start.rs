//! Bringing a function to life, and ending it.

use std::io;
use std::sync::Arc;

use iosmux_usb::Mac;
use iosmux_usb::ncm::{INPUT_SIZE, MAX_NTB16_SIZE, NtbParameters, get_ntb_parameters, set_ntb_input_size};
use iosmux_usb::ntb::Layout;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::pump::{Input, Pump, PumpError, Tally};
use super::tap::Tap;
use super::transfer::{BulkOut as _, TransferFailure};
use crate::link::Links;
use crate::ports::{
    Counters, Function, LONGEST, LinkError, RunningNcm, UsbDevice as _, UsbError, UserspaceNcm,
};
use crate::usb::Device;
use crate::usb::bulk::Claimed;

/// Ours are no longer than what working hosts let the phone send, in bytes. Source: protocol.md §1.6.
const OUTPUT_SIZE: usize = INPUT_SIZE as usize;

/// The userspace NCM driver.
#[derive(Debug, Clone, Copy, Default)]
pub struct Driver {}

impl Driver {
    /// A driver; it holds nothing.
    #[must_use]
    pub fn new() -> Self {
        Self {}
    }
}

impl UserspaceNcm for Driver {
    type Device = Device;
    type Running = Running;

    async fn start(&self, device: &Device, function: Function) -> Result<Running, UsbError> {
        timeout(LONGEST, start(device, function)).await.unwrap_or(Err(UsbError::Late))
    }
}

/// The sequence of working hosts. Source: protocol.md §1.6.
async fn start(device: &Device, function: Function) -> Result<Running, UsbError> {
    // Its own handle: the caller may close theirs, and this one knows the configuration that is active now.
    let device = device.again().await?;
    let claimed = Claimed::new(&device, function).await?;
    let mac = device.string(function.ethernet.mac_string).await?;
    let mac = Mac::from_string_descriptor(&mac).map_err(|error| wrong("reading iMACAddress", error))?;
    let (size, parameters) = agree(&device, function.control).await?;
    claimed.start(&device).await?;
    let tap = Tap::open()?;
    let index = tap.index();
    let links = Links::open().map_err(|source| UsbError::Io { action: "asking netlink", source })?;
    links.set_mac(index, mac.0).await.map_err(link_error)?;
    // Last: transfers that are under way are to be ended, which a failure would not.
    let (incoming, outgoing) = claimed.endpoints(size)?;
    let input = Input { size, max_segment: function.ethernet.max_segment };
    let max_packet = u16::try_from(outgoing.max_packet()).unwrap_or(u16::MAX);
    let layout = output(&parameters, max_packet);
    tracing::info!(%mac, index, input = size, output = layout.max_size, "the userspace driver runs the function");

    let tally = Arc::new(Tally::default());
    let (stop, stopped) = oneshot::channel();
    let carrying = {
        let tally = Arc::clone(&tally);
        async move {
            let mut pump = Pump::new((incoming, outgoing, tap), input, layout, &tally);
            let error = tokio::select! {
                error = pump.run() => Some(error),
                _ = stopped => None,
            };
            claimed.release(pump.into_transfers()).await;
            match error {
                Some(error) => usb_error(&device, error).await,
                None => wrong("carrying frames", "it was stopped"),
            }
        }
    };
    Ok(Running { index, tally, stop: Some(stop), task: Some(tokio::spawn(carrying)) })
}

/// Asks how blocks must be, and makes the phone's small enough. Gives their size in bytes.
async fn agree(device: &Device, control: u8) -> Result<(usize, NtbParameters), UsbError> {
    let answer = device.ask("asking for the NTB parameters", get_ntb_parameters(control)).await?;
    let parameters =
        NtbParameters::parse(&answer).map_err(|error| wrong("asking for the NTB parameters", error))?;
    let mut input = parameters.in_max_size.min(MAX_NTB16_SIZE);
    if parameters.in_max_size > INPUT_SIZE {
        let (request, data) = set_ntb_input_size(control, INPUT_SIZE);
        match device.tell("setting the NTB input size", request, &data).await {
            Ok(()) => input = INPUT_SIZE,
            // It then sends blocks of any size that it said.
            Err(UsbError::Refused) => tracing::debug!(input, "the phone keeps its block size"),
            Err(error) => return Err(error),
        }
    }
    Ok((usize::try_from(input).unwrap_or_default(), parameters))
}

/// How our blocks are.
fn output(parameters: &NtbParameters, max_packet: u16) -> Layout {
    let layout = Layout::to_device(parameters, max_packet).at_most(OUTPUT_SIZE);
    let (asked, kept) = (parameters.out_alignment, layout.alignment);
    if kept != asked {
        tracing::warn!(?asked, ?kept, "the phone asks for an alignment of blocks that can't be kept to");
    }
    layout
}

/// A function that is carried. Dropping this asks for its end, in which the interfaces go back to the kernel.
#[derive(Debug)]
pub struct Running {
    index: u32,
    tally: Arc<Tally>,
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<UsbError>>,
}

impl RunningNcm for Running {
    fn index(&self) -> u32 {
        self.index
    }

    fn counters(&self) -> Counters {
        self.tally.read()
    }

    async fn ended(&mut self) -> UsbError {
        const ACTION: &str = "carrying frames";
        let Some(task) = &mut self.task else { return wrong(ACTION, "it has ended before") };
        let error = task.await.unwrap_or_else(|error| wrong(ACTION, error));
        self.task = None;
        error
    }

    async fn stop(mut self) {
        drop(self.stop.take());
        if let Some(task) = &mut self.task {
            // When it takes longer, it goes on by itself.
            let _ = timeout(LONGEST, task).await;
        }
    }
}

async fn usb_error(device: &Device, error: PumpError) -> UsbError {
    const ACTION: &str = "carrying frames";
    match error {
        PumpError::Transfer(TransferFailure::Gone) => UsbError::Gone,
        PumpError::Transfer(TransferFailure::Stalled) => UsbError::Refused,
        PumpError::Transfer(TransferFailure::Other(source)) => device.fault(ACTION, source).await,
        PumpError::Interface(source) => UsbError::Io { action: "using the TAP interface", source },
    }
}

fn link_error(error: LinkError) -> UsbError {
    UsbError::Io { action: "giving the TAP interface its MAC address", source: io::Error::other(error) }
}

fn wrong(action: &'static str, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> UsbError {
    UsbError::Io { action, source: io::Error::other(error) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use iosmux_usb::ncm::Alignment;

    #[test]
    fn our_blocks_are_short_and_a_full_one_is_what_the_phone_says() {
        let alignment = Alignment { divisor: 4, remainder: 0, ndp: 4 };
        let with = |out_max_size| NtbParameters {
            formats: 1,
            in_max_size: INPUT_SIZE,
            in_alignment: alignment,
            out_max_size,
            out_alignment: alignment,
            out_max_datagrams: 0,
        };
        let sizes = |out_max_size| {
            let layout = output(&with(out_max_size), 512);
            (layout.max_size, layout.full)
        };
        assert_eq!(sizes(65_536), (16_384, 65_536));
        assert_eq!(sizes(16_384), (16_384, 16_384));
        assert_eq!(sizes(8192), (8192, 8192));
        let odd = NtbParameters { out_alignment: Alignment { ndp: 1024, ..alignment }, ..with(8192) };
        assert_eq!(output(&odd, 512).alignment, alignment);
    }
}
