//! The device behind USB/IP: transfers in, answers out, and those to the host that wait for something to come. Without I/O.

use std::collections::VecDeque;
use std::time::Duration;

use super::device::{Departure, Device, Stall};
use super::usbip::{self, Command, HEADER, Submit, UsbIpError};

/// Transfers that wait at most. The bound is our own: the kernel's drivers keep some dozens.
const MAX_PENDING: usize = 1024;

/// One attachment to a host.
#[derive(Debug, Default)]
pub struct Server {
    input: Vec<u8>,
    output: Vec<u8>,
    pending: VecDeque<Submit>,
    departure: Option<Departure>,
    /// It left in the middle of a transfer: nothing is answered any more.
    gone: bool,
}

impl Server {
    /// Takes bytes of the host.
    ///
    /// # Errors
    /// What no host sends; the attachment can't go on.
    pub fn receive(&mut self, device: &mut Device, bytes: &[u8]) -> Result<(), UsbIpError> {
        self.input.extend_from_slice(bytes);
        let input = std::mem::take(&mut self.input);
        let mut rest = input.as_slice();
        while let Some((header, behind)) = rest.split_first_chunk::<HEADER>() {
            let command = Command::read(header)?;
            let Some((data, behind)) = behind.split_at_checked(command.data_length()) else { break };
            rest = behind;
            if self.gone {
                continue;
            }
            match command {
                Command::Submit(submit) => self.submit(device, submit, data)?,
                Command::Unlink { sequence, transfer } => self.unlink(sequence, transfer),
            }
        }
        self.input = rest.to_vec();
        self.complete(device);
        Ok(())
    }

    /// Answers the transfers that something has come for.
    pub fn complete(&mut self, device: &mut Device) {
        if self.gone {
            return;
        }
        let mut waiting = std::mem::take(&mut self.pending);
        // Once an endpoint has nothing, it has nothing for its later transfers either.
        let mut empty: u32 = 0;
        waiting.retain(|submit| {
            // Endpoint 0 is what a mute phone leaves unanswered.
            let bit = 1_u32 << (submit.endpoint & 0x0f);
            if bit == 1 || empty & bit != 0 {
                return true;
            }
            match device.bulk_in(submit.endpoint, submit.length) {
                Ok(Some(data)) => self.answer(submit.sequence, usbip::OK, data.len(), &data),
                Ok(None) => {
                    empty |= bit;
                    return true;
                }
                Err(_stall) => self.answer(submit.sequence, usbip::STALLED, 0, &[]),
            }
            false
        });
        self.pending = waiting;
    }

    /// Bytes for the host; they are taken.
    pub fn output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// That the device leaves, told once.
    pub fn departure(&mut self) -> Option<Departure> {
        self.departure.take()
    }

    fn submit(&mut self, device: &mut Device, submit: Submit, data: &[u8]) -> Result<(), UsbIpError> {
        let answer = match submit.endpoint {
            0 | 0x80 if !device.answers(submit.setup) => return self.wait(submit),
            // Data in the direction that the setup packet doesn't say.
            0 if submit.setup.is_in() && submit.setup.length > 0 => Err(Stall),
            0 | 0x80 => device.control(submit.setup, data),
            out if out & 0x80 == 0 => {
                let taken = device.bulk_out(out, data);
                // A transfer that fills its packets goes on in the next one, unless a packet of no bytes ends it.
                let ended = taken.and_then(|()| {
                    if submit.zero_packet && !data.is_empty() { device.bulk_out(out, &[]) } else { Ok(()) }
                });
                ended.map(|()| Vec::new())
            }
            _ => return self.wait(submit),
        };
        if let Some(departure) = device.departure() {
            self.gone |= departure.after == Duration::ZERO;
            self.departure = Some(departure);
        }
        if self.gone {
            return Ok(());
        }
        match answer {
            // Nothing goes to the host here.
            Ok(_) if submit.endpoint & 0x80 == 0 => {
                self.answer(submit.sequence, usbip::OK, submit.length, &[]);
            }
            Ok(mut bytes) => {
                bytes.truncate(submit.length);
                self.answer(submit.sequence, usbip::OK, bytes.len(), &bytes);
            }
            Err(_stall) => self.answer(submit.sequence, usbip::STALLED, 0, &[]),
        }
        Ok(())
    }

    /// Keeps a transfer until there is an answer, or its host gives it up.
    fn wait(&mut self, submit: Submit) -> Result<(), UsbIpError> {
        if self.pending.len() >= MAX_PENDING {
            return Err(UsbIpError::Pending(MAX_PENDING));
        }
        self.pending.push_back(submit);
        Ok(())
    }

    /// Source: Linux, usbip_protocol.rst: the status says whether there was still such a transfer.
    fn unlink(&mut self, sequence: u32, transfer: u32) {
        let before = self.pending.len();
        self.pending.retain(|submit| submit.sequence != transfer);
        let status = if self.pending.len() < before { usbip::UNLINKED } else { usbip::OK };
        self.output.extend(usbip::unlinked(sequence, status));
    }

    fn answer(&mut self, sequence: u32, status: i32, carried: usize, data: &[u8]) {
        self.output.extend(usbip::submitted(sequence, status, carried));
        self.output.extend_from_slice(data);
    }
}
