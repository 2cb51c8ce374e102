//! The thread that owns the file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};

use crate::pcapng::{self, Packet};
use crate::queue::{Queue, Record};

/// What was recorded.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Packets in the file.
    pub packets: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Packets that are missing because the queue was full.
    pub dropped: u64,
}

/// A pcapng file that is being written. Each block is one write: a process that is killed leaves a file that opens.
#[derive(Debug)]
pub(crate) struct Writer {
    file: File,
    /// The interface block of each link-local scope seen so far.
    interfaces: BTreeMap<u32, u32>,
    summary: Summary,
}

impl Writer {
    pub(crate) fn start(file: File) -> io::Result<Self> {
        let mut writer = Self { file, interfaces: BTreeMap::new(), summary: Summary::default() };
        writer.block(&pcapng::section_header(concat!("iosmux ", env!("CARGO_PKG_VERSION"))))?;
        Ok(writer)
    }

    /// Writes until the queue ends or the file can't be written.
    pub(crate) fn run(mut self, queue: &Queue) -> io::Result<Summary> {
        while let Some(record) = queue.next() {
            if let Err(error) = self.record(&record) {
                tracing::error!(%error, written = self.summary.packets, "the capture file can't be written: recording ends");
                return Err(error);
            }
        }
        let dropped = queue.dropped_at_the_end();
        if dropped > 0 {
            tracing::warn!(dropped, "the last packets are missing in the capture");
        }
        self.summary.dropped = self.summary.dropped.saturating_add(dropped);
        Ok(self.summary)
    }

    fn record(&mut self, record: &Record) -> io::Result<()> {
        let interface = self.interface(record.scope)?;
        if record.dropped > 0 {
            tracing::warn!(
                dropped = record.dropped,
                "the disk is too slow: packets are missing in the capture"
            );
        }
        self.block(&pcapng::enhanced_packet(&Packet {
            interface,
            time: record.time,
            direction: record.direction,
            bytes: &record.bytes,
            dropped: record.dropped,
        }))?;
        self.summary.packets = self.summary.packets.saturating_add(1);
        self.summary.dropped = self.summary.dropped.saturating_add(record.dropped);
        Ok(())
    }

    /// The number of a scope's interface block, which is written when the scope is first seen.
    fn interface(&mut self, scope: u32) -> io::Result<u32> {
        if let Some(&interface) = self.interfaces.get(&scope) {
            return Ok(interface);
        }
        let name = if scope == 0 { "iosmux".to_owned() } else { format!("iosmux%{scope}") };
        let description = "iosmux: bytes taken at the socket, packets made around them";
        self.block(&pcapng::interface_description(&name, description))?;
        let interface = u32::try_from(self.interfaces.len()).unwrap_or(u32::MAX);
        self.interfaces.insert(scope, interface);
        Ok(interface)
    }

    fn block(&mut self, block: &[u8]) -> io::Result<()> {
        self.file.write_all(block)?;
        self.summary.bytes =
            self.summary.bytes.saturating_add(u64::try_from(block.len()).unwrap_or(u64::MAX));
        Ok(())
    }
}
