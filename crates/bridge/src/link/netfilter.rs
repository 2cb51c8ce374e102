//! br_netfilter: whether frames between ports pass the IPv6 chains of the host, and which of those drop.
//!
//! Only looked at, never changed: what to do about it is for people (docs/bridge.md).

use std::fs;
use std::io;
use std::path::Path;

use netlink_packet_core::{NlaBuffer, NlasIterator};
use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{AsyncSocket as _, AsyncSocketExt as _, SocketAddr, TokioSocket};

use crate::ports::Dropped;

/// Says whether frames of IPv6 pass the host's chains; it is there when br_netfilter is.
const CALLS: &str = "/proc/sys/net/bridge/bridge-nf-call-ip6tables";
/// The legacy table that can't be read without its own tool.
const LEGACY: &str = "/sys/module/ip6table_filter";

/// What drops, as far as can be seen.
pub(super) async fn dropped() -> Option<Dropped> {
    if !calls(fs::read_to_string(CALLS).ok().as_deref()) {
        return None;
    }
    let chains = chains().await;
    verdict(&chains, Path::new(LEGACY).exists())
}

/// Absent or 0: frames between ports pass no chain.
fn calls(setting: Option<&str>) -> bool {
    setting.is_some_and(|value| value.trim() != "0")
}

fn verdict(chains: &io::Result<Vec<Chain>>, legacy: bool) -> Option<Dropped> {
    let dropping = chains.iter().flatten().find(|chain| chain.drops());
    let chain = match (dropping, chains, legacy) {
        (Some(Chain { family, table, name, .. }), _, _) => {
            format!("{} {table} {name} has policy drop", if *family == INET { "inet" } else { "ip6" })
        }
        (None, Err(error), _) => format!("ip6 chains of the host may drop (they can't be read: {error})"),
        (None, Ok(_), true) => {
            "the legacy ip6tables FORWARD chain may drop (its policy can't be read)".to_owned()
        }
        (None, Ok(_), false) => return None,
    };
    Some(Dropped { chain })
}

// Source for the numbers below: the kernel's include/uapi/linux/netfilter/{nfnetlink,nf_tables}.h, netfilter.h, netlink.h.
const SUBSYSTEM_NFTABLES: u16 = 10;
const NEW_CHAIN: u16 = SUBSYSTEM_NFTABLES << 8 | 3;
const GET_CHAIN: u16 = SUBSYSTEM_NFTABLES << 8 | 4;
const REQUEST_DUMP: u16 = 0x01 | 0x300;
const ERROR: u16 = 2;
const DONE: u16 = 3;
const INET: u8 = 1;
const IP6: u8 = 10;
const CHAIN_TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const CHAIN_POLICY: u16 = 5;
const HOOK_NUMBER: u16 = 1;
const FORWARD: u32 = 2;
const DROP: u32 = 0;
const HEADER: usize = 16;
const FAMILY_HEADER: usize = 4;
/// Chains that are looked at, at most.
const MAX_CHAINS: usize = 4096;

/// A chain of nf_tables.
#[derive(Debug, Default, PartialEq, Eq)]
struct Chain {
    family: u8,
    table: String,
    name: String,
    hook: Option<u32>,
    policy: Option<u32>,
}

impl Chain {
    /// Whether what no rule takes of IPv6 frames between ports is dropped.
    fn drops(&self) -> bool {
        matches!(self.family, INET | IP6) && self.hook == Some(FORWARD) && self.policy == Some(DROP)
    }

    /// From the attributes of a message.
    fn parse(body: &[u8]) -> Option<Self> {
        let (header, attributes) = body.split_at_checked(FAMILY_HEADER)?;
        let mut chain = Self { family: *header.first()?, ..Self::default() };
        for attribute in NlasIterator::new(attributes) {
            let attribute = attribute.ok()?;
            let value = attribute.value();
            match attribute.kind() {
                CHAIN_TABLE => chain.table = word(value),
                CHAIN_NAME => chain.name = word(value),
                CHAIN_POLICY => chain.policy = number(value),
                CHAIN_HOOK => chain.hook = hook(value),
                _ => {}
            }
        }
        Some(chain)
    }
}

fn hook(nested: &[u8]) -> Option<u32> {
    let is_number = |attribute: &NlaBuffer<&[u8]>| attribute.kind() == HOOK_NUMBER;
    NlasIterator::new(nested).flatten().find(is_number).and_then(|attribute| number(attribute.value()))
}

fn number(value: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(value.try_into().ok()?))
}

/// A name that an administrator chose: made fit for a line of text.
fn word(value: &[u8]) -> String {
    let text = value.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).chars().filter(|one| !one.is_control()).take(64).collect()
}

/// Every chain of the IPv6 families. Needs CAP_NET_ADMIN.
async fn chains() -> io::Result<Vec<Chain>> {
    let mut socket = TokioSocket::new(NETLINK_NETFILTER)?;
    socket.socket_mut().bind_auto()?;
    let mut request = Vec::new();
    request.extend(((HEADER + FAMILY_HEADER) as u32).to_ne_bytes());
    request.extend(GET_CHAIN.to_ne_bytes());
    request.extend(REQUEST_DUMP.to_ne_bytes());
    // Sequence and sender, then the family (any), the version and the resource.
    request.extend([0; 8 + FAMILY_HEADER]);
    socket.send_to(&request, &SocketAddr::new(0, 0)).await?;
    let mut chains = Vec::new();
    let mut answer = Vec::with_capacity(64 * 1024);
    loop {
        answer.clear();
        socket.recv_from(&mut answer).await?;
        if read(&answer, &mut chains)? || chains.len() > MAX_CHAINS {
            return Ok(chains);
        }
    }
}

/// Takes the chains of one datagram; whether it was the last one.
fn read(mut datagram: &[u8], chains: &mut Vec<Chain>) -> io::Result<bool> {
    let short = || io::Error::from(io::ErrorKind::UnexpectedEof);
    while !datagram.is_empty() {
        let (length, kind) =
            (datagram.first_chunk::<4>(), datagram.get(4..6).and_then(|kind| kind.first_chunk()));
        let (length, kind) = length.zip(kind).ok_or_else(short)?;
        let length = usize::try_from(u32::from_ne_bytes(*length)).map_err(io::Error::other)?;
        let body = datagram.get(HEADER..length).ok_or_else(short)?;
        match u16::from_ne_bytes(*kind) {
            DONE => return Ok(true),
            ERROR => return error(body).map(|()| true),
            NEW_CHAIN => chains.extend(Chain::parse(body)),
            _ => {}
        }
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

/// A kernel without nf_tables knows no such question: it has no chains.
fn error(body: &[u8]) -> io::Result<()> {
    let code = body.first_chunk().map_or(0, |code| i32::from_ne_bytes(*code));
    match code.saturating_neg() {
        0 => Ok(()),
        code if code == nix::errno::Errno::EINVAL as i32 || code == nix::errno::Errno::EOPNOTSUPP as i32 => {
            Ok(())
        }
        code => Err(io::Error::from_raw_os_error(code)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = ((value.len() + 4) as u16).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn chain(family: u8, hook: u32, policy: u32) -> Vec<u8> {
        let mut body = vec![family, 0, 0, 0];
        body.extend(attribute(CHAIN_TABLE, b"filter\0"));
        body.extend(attribute(CHAIN_NAME, b"FORWARD\0"));
        body.extend(attribute(CHAIN_HOOK | 0x8000, &attribute(HOOK_NUMBER, &hook.to_be_bytes())));
        body.extend(attribute(CHAIN_POLICY, &policy.to_be_bytes()));
        message(NEW_CHAIN, &body)
    }

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = ((HEADER + body.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend(body);
        bytes
    }

    fn told(datagram: &[u8], legacy: bool) -> Option<String> {
        let mut chains = Vec::new();
        let read = read(datagram, &mut chains).map(|_| chains);
        verdict(&read, legacy).map(|dropped| dropped.chain)
    }

    #[test]
    fn a_forward_chain_that_drops_is_named() {
        let mut datagram = chain(2, FORWARD, DROP);
        datagram.extend(chain(IP6, 1, DROP));
        assert_eq!(told(&datagram, false), None, "IPv4, and what the host itself gets");
        datagram.extend(chain(IP6, FORWARD, DROP));
        assert_eq!(told(&datagram, true).unwrap(), "ip6 filter FORWARD has policy drop");
        assert_eq!(told(&chain(INET, FORWARD, DROP), false).unwrap(), "inet filter FORWARD has policy drop");
        assert_eq!(told(&chain(IP6, FORWARD, 1), false), None);
    }

    #[test]
    fn what_cannot_be_read_may_drop() {
        assert!(told(&[], true).unwrap().contains("may drop"));
        let denied = message(ERROR, &(-1_i32).to_ne_bytes());
        assert!(
            told(&denied, false)
                .unwrap()
                .starts_with("ip6 chains of the host may drop (they can't be read: ")
        );
        assert_eq!(
            told(&message(ERROR, &(-22_i32).to_ne_bytes()), false),
            None,
            "a kernel without nf_tables"
        );
    }

    #[test]
    fn frames_pass_no_chain_without_the_module_or_when_it_is_told_so() {
        assert!(!calls(None) && !calls(Some("0\n")) && calls(Some("1\n")));
    }

    proptest! {
        #[test]
        fn no_bytes_harm(datagram in prop::collection::vec(any::<u8>(), 0..128)) {
            let _ = read(&datagram, &mut Vec::new());
            let _ = read(&message(NEW_CHAIN, &datagram), &mut Vec::new());
        }
    }
}
