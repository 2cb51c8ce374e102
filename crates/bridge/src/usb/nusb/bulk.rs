//! Bulk transfers of an NCM function, by nusb: several in flight each way.

use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ::nusb::transfer::{Buffer, Bulk, EndpointDirection, In, Out, TransferError};
use ::nusb::{Endpoint, Interface, MaybeFuture as _};

use super::{Device, io_error, late};
use crate::ncm::transfer::{BulkIn, BulkOut, TransferFailure};
use crate::ports::{Function, UsbError};
use crate::usb::aside::Aside;
use crate::usb::in_time;

/// Transfers that wait for the phone at a time: while one is read, the others are filled.
const QUEUED_IN: usize = 4;
/// Transfers that are on their way to the phone at a time.
const QUEUED_OUT: usize = 4;
/// The longest wait for the end of a transfer that was cancelled. The kernel waits for a mute phone for 5 s.
const DRAINING: Duration = Duration::from_secs(10);
/// Failures in a row that are taken for disturbances on the wire.
const DISTURBANCES: u32 = 8;

/// A function's interfaces, claimed, until [`release`](Self::release).
pub(crate) struct Claimed {
    /// The control interface, which class requests name, and the data interface; none once released.
    held: Aside<(Interface, Interface)>,
    function: Function,
}

impl Claimed {
    /// Claims both interfaces. The data interface is silent at first (alternate setting 0).
    pub(crate) async fn new(device: &Device, function: Function) -> Result<Self, UsbError> {
        let control = device.claim(function.control).await?;
        let data = device.claim(function.data).await?;
        let claimed = Self { held: Aside::new((control, data)), function };
        claimed.alternate(device, 0).await?;
        Ok(claimed)
    }

    /// Brings the data interface to life.
    pub(crate) async fn start(&self, device: &Device) -> Result<(), UsbError> {
        self.alternate(device, self.function.alternate).await
    }

    async fn alternate(&self, device: &Device, alternate: u8) -> Result<(), UsbError> {
        let (data, device) = (self.data()?.clone(), device.clone());
        let action = "selecting an alternate setting";
        let select =
            move || data.set_alt_setting(alternate).wait().map_err(|error| device.refused(action, &error));
        in_time(select).await.map_err(late(action))?
    }

    /// The endpoints; `input` is the size of the phone's blocks in bytes.
    pub(crate) fn endpoints(&self, input: usize) -> Result<(Incoming, Outgoing), UsbError> {
        let action = "opening an endpoint";
        let failed = |error: ::nusb::Error| UsbError::Io { action, source: io_error(&error) };
        let data = self.data()?;
        let incoming = data.endpoint(self.function.bulk_in.address).map_err(failed)?;
        let outgoing = data.endpoint(self.function.bulk_out.address).map_err(failed)?;
        Ok((Incoming::new(incoming, input), Outgoing::new(outgoing)))
    }

    /// Gives them back to the kernel. Its driver may ask the phone at once, and a phone that is mute makes that last for seconds.
    pub(crate) async fn release(mut self, (mut incoming, mut outgoing): (Incoming, Outgoing)) {
        let held = self.held.take();
        let give_back = move || {
            drain(&mut incoming.endpoint);
            drain(&mut outgoing.endpoint);
            drop((incoming, outgoing, held));
        };
        if in_time(give_back).await.is_err() {
            tracing::debug!("the kernel is still taking the interfaces back");
        }
    }

    fn data(&self) -> Result<&Interface, UsbError> {
        self.held.get().map(|(_, data)| data).ok_or(UsbError::Gone)
    }
}

/// Ends an endpoint's transfers, and waits until they have: one that ends later may be the last to have the interface, and gives
/// it back on the library's thread for all phones.
fn drain<D: EndpointDirection>(endpoint: &mut Endpoint<Bulk, D>) {
    endpoint.cancel_all();
    while endpoint.pending() > 0 && endpoint.wait_next_complete(DRAINING).is_some() {}
}

/// Blocks from the phone.
pub(crate) struct Incoming {
    endpoint: Endpoint<Bulk, In>,
    disturbances: u32,
}

impl Incoming {
    fn new(mut endpoint: Endpoint<Bulk, In>, input: usize) -> Self {
        let size = input.next_multiple_of(endpoint.max_packet_size().max(1));
        for _ in 0..QUEUED_IN {
            let buffer = endpoint.allocate(size);
            endpoint.submit(buffer);
        }
        Self { endpoint, disturbances: 0 }
    }
}

impl BulkIn for Incoming {
    fn max_packet(&self) -> usize {
        self.endpoint.max_packet_size()
    }

    fn poll_block(
        &mut self,
        cx: &mut Context<'_>,
        take: &mut dyn FnMut(&[u8]),
    ) -> Poll<Result<(), TransferFailure>> {
        let completion = ready!(self.endpoint.poll_next_complete(cx));
        if tolerate(completion.status, &mut self.disturbances)? {
            take(&completion.buffer);
        }
        self.endpoint.submit(completion.buffer);
        Poll::Ready(Ok(()))
    }
}

/// Blocks to the phone.
pub(crate) struct Outgoing {
    endpoint: Endpoint<Bulk, Out>,
    /// Buffers that are not on their way, for use again.
    idle: Vec<Buffer>,
    disturbances: u32,
}

impl Outgoing {
    fn new(endpoint: Endpoint<Bulk, Out>) -> Self {
        Self { endpoint, idle: Vec::new(), disturbances: 0 }
    }

    fn buffer(&mut self, length: usize) -> Buffer {
        let fits = self.idle.iter().position(|buffer| buffer.capacity() >= length);
        fits.map(|place| self.idle.swap_remove(place)).unwrap_or_else(|| self.endpoint.allocate(length))
    }
}

impl BulkOut for Outgoing {
    fn max_packet(&self) -> usize {
        self.endpoint.max_packet_size()
    }

    fn poll_room(
        &mut self,
        cx: &mut Context<'_>,
        lost: &mut dyn FnMut(),
    ) -> Poll<Result<(), TransferFailure>> {
        loop {
            if self.endpoint.pending() == 0 {
                return Poll::Ready(Ok(()));
            }
            // Those that are done are taken in first: also an error must be seen while there is room.
            match self.endpoint.poll_next_complete(cx) {
                Poll::Ready(completion) => {
                    // A block that is lost is lost; the phone's clients send again.
                    if !tolerate(completion.status, &mut self.disturbances)? {
                        lost();
                    }
                    let mut buffer = completion.buffer;
                    if buffer.capacity() > 0 && self.idle.len() < QUEUED_OUT {
                        buffer.clear();
                        self.idle.push(buffer);
                    }
                }
                Poll::Pending if self.endpoint.pending() < QUEUED_OUT => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn send(&mut self, block: &[u8], longest: usize, zero_length_packet: bool) {
        let mut buffer = self.buffer(block.len().max(longest));
        buffer.extend_from_slice(block);
        self.endpoint.submit(buffer);
        if zero_length_packet {
            self.endpoint.submit(Buffer::new(0));
        }
    }
}

/// Whether a transfer was carried. Lets [`DISTURBANCES`] in a row pass, and ends at anything that will not pass by itself.
fn tolerate(status: Result<(), TransferError>, disturbances: &mut u32) -> Result<bool, TransferFailure> {
    match status {
        Ok(()) => {
            *disturbances = 0;
            Ok(true)
        }
        Err(TransferError::Fault) if *disturbances < DISTURBANCES => {
            *disturbances += 1;
            Ok(false)
        }
        Err(error) => Err(failure(error)),
    }
}

fn failure(error: TransferError) -> TransferFailure {
    match error {
        TransferError::Disconnected => TransferFailure::Gone,
        TransferError::Stall => TransferFailure::Stalled,
        other => TransferFailure::Other(io::Error::from(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disturbances_pass_until_they_are_too_many_in_a_row() {
        let mut count = 0;
        for _ in 0..3 {
            for _ in 0..DISTURBANCES {
                assert!(matches!(tolerate(Err(TransferError::Fault), &mut count), Ok(false)));
            }
            assert!(matches!(tolerate(Ok(()), &mut count), Ok(true)));
        }
        count = DISTURBANCES;
        assert!(matches!(tolerate(Err(TransferError::Fault), &mut count), Err(TransferFailure::Other(_))));
    }

    #[test]
    fn what_will_not_pass_ends_it() {
        assert!(matches!(tolerate(Err(TransferError::Stall), &mut 0), Err(TransferFailure::Stalled)));
        assert!(matches!(tolerate(Err(TransferError::Disconnected), &mut 0), Err(TransferFailure::Gone)));
    }
}
