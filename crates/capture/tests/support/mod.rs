//! Reading captures back with parsers that aren't ours.

use std::fmt::Write as _;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use pcap_parser::pcapng::{Block, PcapNGOption};
use pcap_parser::{PcapBlockOwned, PcapError, PcapNGReader, traits::PcapReaderIterator};

/// One packet of a file.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    pub interface: u32,
    pub nanoseconds: u64,
    pub bytes: Vec<u8>,
    pub options: Vec<(u16, Vec<u8>)>,
}

/// What a file holds.
#[derive(Debug, Default)]
pub(crate) struct Capture {
    pub applications: Vec<String>,
    pub interfaces: Vec<String>,
    pub packets: Vec<Read>,
}

fn text(options: &[PcapNGOption<'_>], code: u16) -> String {
    let option = options.iter().find(|option| option.code.0 == code);
    option.map(|option| String::from_utf8_lossy(option.as_bytes().unwrap()).into_owned()).unwrap_or_default()
}

/// Reads a whole file; panics when it isn't a valid one.
pub(crate) fn read(bytes: &[u8]) -> Capture {
    let mut reader = PcapNGReader::new(1 << 20, bytes).unwrap();
    let mut capture = Capture::default();
    loop {
        match reader.next() {
            Ok((used, block)) => {
                match block {
                    PcapBlockOwned::NG(Block::SectionHeader(header)) => {
                        capture.applications.push(text(&header.options, 4));
                    }
                    PcapBlockOwned::NG(Block::InterfaceDescription(interface)) => {
                        assert_eq!(interface.linktype.0, 101);
                        assert_eq!(interface.if_tsresol, 9);
                        capture.interfaces.push(text(&interface.options, 2));
                    }
                    PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => capture.packets.push(Read {
                        interface: packet.if_id,
                        nanoseconds: u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low),
                        bytes: packet.packet_data().to_vec(),
                        options: packet
                            .options
                            .iter()
                            .map(|o| (o.code.0, o.as_bytes().unwrap().to_vec()))
                            .collect(),
                    }),
                    _ => panic!("a block nobody writes"),
                }
                reader.consume(used);
            }
            Err(PcapError::Eof) => return capture,
            Err(PcapError::Incomplete(_)) => reader.refill().unwrap(),
            Err(error) => panic!("not a valid file: {error:?}"),
        }
    }
}

trait PacketData {
    fn packet_data(&self) -> &[u8];
}

impl PacketData for pcap_parser::EnhancedPacketBlock<'_> {
    fn packet_data(&self) -> &[u8] {
        &self.data[..self.caplen as usize]
    }
}

/// A TCP segment as another parser reads it.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub source: u16,
    pub sequence: u32,
    pub acknowledgement: Option<u32>,
    pub flags: String,
    pub payload: Vec<u8>,
}

/// Reads a segment; panics when a length or a checksum is wrong.
pub(crate) fn segment(bytes: &[u8]) -> Segment {
    let packet = SlicedPacket::from_ip(bytes).unwrap();
    let Some(TransportSlice::Tcp(tcp)) = &packet.transport else { panic!("not TCP") };
    let expected = match &packet.net {
        Some(NetSlice::Ipv6(ip)) => tcp.calc_checksum_ipv6(ip.header().source(), ip.header().destination()),
        Some(NetSlice::Ipv4(ip)) => tcp.calc_checksum_ipv4(ip.header().source(), ip.header().destination()),
        _ => panic!("not IP"),
    };
    assert_eq!(tcp.checksum(), expected.unwrap());
    let names =
        [(tcp.syn(), "SYN"), (tcp.fin(), "FIN"), (tcp.rst(), "RST"), (tcp.psh(), "PSH"), (tcp.ack(), "ACK")];
    Segment {
        source: tcp.source_port(),
        sequence: tcp.sequence_number(),
        acknowledgement: tcp.ack().then(|| tcp.acknowledgment_number()),
        flags: names.iter().filter(|(set, _)| *set).map(|(_, name)| *name).collect::<Vec<_>>().join(" "),
        payload: tcp.payload().to_vec(),
    }
}

/// One line per packet.
pub(crate) fn list(packets: &[Read]) -> String {
    let mut lines = String::new();
    for packet in packets {
        let sliced = SlicedPacket::from_ip(&packet.bytes).unwrap();
        let ends = match &sliced.net {
            Some(NetSlice::Ipv6(ip)) => {
                format!("{} > {}", ip.header().source_addr(), ip.header().destination_addr())
            }
            Some(NetSlice::Ipv4(ip)) => {
                format!("{} > {}", ip.header().source_addr(), ip.header().destination_addr())
            }
            _ => panic!("not IP"),
        };
        write!(lines, "if {} {ends} ", packet.interface).unwrap();
        match &sliced.transport {
            Some(TransportSlice::Udp(udp)) => {
                writeln!(
                    lines,
                    "UDP {} > {} len {}",
                    udp.source_port(),
                    udp.destination_port(),
                    udp.payload().len()
                )
                .unwrap();
            }
            _ => {
                let tcp = segment(&packet.bytes);
                let ack = tcp.acknowledgement.map_or_else(String::new, |ack| format!(" ack {ack}"));
                writeln!(
                    lines,
                    "TCP {} [{}] seq {}{ack} len {}",
                    tcp.source,
                    tcp.flags,
                    tcp.sequence,
                    tcp.payload.len()
                )
                .unwrap();
            }
        }
    }
    lines
}
