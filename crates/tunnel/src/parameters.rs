//! What both ends agreed on, checked before a device is configured from it.

use crate::cdtunnel::{ClientHandshakeRequest, ClientParameters, ServerHandshakeResponse};
use crate::packet::PacketFilter;
use crate::{MAX_MTU, MIN_MTU};
use std::net::Ipv6Addr;
use thiserror::Error;

/// The prefix of a tunnel's network, in bits. Source: protocol.md §5.9 (a ULA /64).
const PREFIX_LEN: u8 = 64;

/// A tunnel's agreed parameters; every value was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameters {
    /// The device's end; RSD listens there.
    pub server_address: Ipv6Addr,
    /// The TCP port of RSD at [`Self::server_address`].
    pub server_rsd_port: u16,
    /// The host's end.
    pub client_address: Ipv6Addr,
    /// The largest inner packet in bytes, both ways.
    pub mtu: u16,
}

/// What a device offers to whoever opens a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceParameters {
    /// The device's end.
    pub server_address: Ipv6Addr,
    /// The TCP port of RSD at [`Self::server_address`].
    pub server_rsd_port: u16,
    /// The host's end.
    pub client_address: Ipv6Addr,
    /// The largest MTU that the device grants, in bytes; over QUIC at most [`crate::QUIC_MTU`].
    pub max_mtu: u16,
}

/// The side of the tunnel that this end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The computer.
    Host,
    /// The phone.
    Device,
}

/// Parameters that this end does not accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ParametersError {
    /// An MTU that can't carry IPv6, or that this crate can't carry.
    #[error(
        "{side} named an MTU of {got}; {MIN_MTU} to {MAX_MTU} bytes were expected: IPv6 needs the one, one TLS record \
         per packet the other"
    )]
    Mtu {
        /// `the device` or `the host`.
        side: &'static str,
        /// The MTU in bytes.
        got: u32,
    },
    /// An address outside fc00::/7: configuring it could take over a route of this computer.
    #[error(
        "the tunnel's {which} address should be a unique local one (fc00::/7), {got} came; the tunnel is refused"
    )]
    Address {
        /// `server` or `client`.
        which: &'static str,
        /// The address.
        got: Ipv6Addr,
    },
    /// Both ends have one address.
    #[error("the tunnel's two ends should differ, both are {0}; the tunnel is refused")]
    SameAddress(Ipv6Addr),
    /// The network isn't a /64 with both ends in it.
    #[error(
        "the tunnel's network should be a /64 with {server} and {client} in it, its mask is {netmask}; refused"
    )]
    Network {
        /// The device's end.
        server: Ipv6Addr,
        /// The host's end.
        client: Ipv6Addr,
        /// The mask that came.
        netmask: Ipv6Addr,
    },
    /// RSD listens nowhere.
    #[error("a port of RSD from 1 to 65535 was expected, 0 came; the device's RSD isn't up, try again")]
    PortZero,
}

impl Parameters {
    /// The host's view of an answer to its request for `asked` bytes of MTU.
    ///
    /// An answer with a larger MTU counts as one with what was asked for: a smaller one is always safe.
    pub fn from_response(asked: u16, response: &ServerHandshakeResponse) -> Result<Self, ParametersError> {
        let client = &response.client_parameters;
        let got = client.mtu;
        let mtu = u16::try_from(got.min(u32::from(asked)))
            .map_err(|_| ParametersError::Mtu { side: "the device", got })?;
        let parameters = Self {
            server_address: response.server_address,
            server_rsd_port: response.server_rsd_port,
            client_address: client.address,
            mtu: checked_mtu("the device", mtu)?,
        };
        parameters.check_addresses(client.netmask)?;
        Ok(parameters)
    }

    /// The device's answer to a request: the parameters and the response to send.
    pub fn grant(
        request: &ClientHandshakeRequest,
        offer: &DeviceParameters,
    ) -> Result<(Self, ServerHandshakeResponse), ParametersError> {
        if request.mtu < u32::from(MIN_MTU) {
            return Err(ParametersError::Mtu { side: "the host", got: request.mtu });
        }
        let granted = u32::from(checked_mtu("the device", offer.max_mtu)?).min(request.mtu);
        let mtu = u16::try_from(granted).unwrap_or(offer.max_mtu);
        let parameters = Self {
            server_address: offer.server_address,
            server_rsd_port: offer.server_rsd_port,
            client_address: offer.client_address,
            mtu,
        };
        let netmask = mask(PREFIX_LEN);
        parameters.check_addresses(netmask)?;
        let client = ClientParameters { address: offer.client_address, mtu: granted, netmask };
        let response = ServerHandshakeResponse {
            client_parameters: client,
            server_address: offer.server_address,
            server_rsd_port: offer.server_rsd_port,
        };
        Ok((parameters, response))
    }

    /// The address of `role`'s own end.
    pub fn local_address(&self, role: Role) -> Ipv6Addr {
        match role {
            Role::Host => self.client_address,
            Role::Device => self.server_address,
        }
    }

    /// The address of the other end, seen from `role`.
    pub fn peer_address(&self, role: Role) -> Ipv6Addr {
        match role {
            Role::Host => self.server_address,
            Role::Device => self.client_address,
        }
    }

    /// The rule for packets that `role` sends into the tunnel.
    pub fn outbound_filter(&self, role: Role) -> PacketFilter {
        PacketFilter::new(self.local_address(role), self.peer_address(role), self.mtu)
    }

    /// The rule for packets that come out of the tunnel at `role`'s end.
    pub fn inbound_filter(&self, role: Role) -> PacketFilter {
        PacketFilter::new(self.peer_address(role), self.local_address(role), self.mtu)
    }

    fn check_addresses(&self, netmask: Ipv6Addr) -> Result<(), ParametersError> {
        let (server, client) = (self.server_address, self.client_address);
        for (which, got) in [("server", server), ("client", client)] {
            if !got.is_unique_local() {
                return Err(ParametersError::Address { which, got });
            }
        }
        if server == client {
            return Err(ParametersError::SameAddress(server));
        }
        let network = |address: Ipv6Addr| address.to_bits() & mask(PREFIX_LEN).to_bits();
        if netmask != mask(PREFIX_LEN) || network(server) != network(client) {
            return Err(ParametersError::Network { server, client, netmask });
        }
        if self.server_rsd_port == 0 {
            return Err(ParametersError::PortZero);
        }
        Ok(())
    }
}

/// Refuses an MTU that this crate can't carry, before it is asked for.
pub(crate) fn checked_mtu(side: &'static str, mtu: u16) -> Result<u16, ParametersError> {
    let fits = (MIN_MTU..=MAX_MTU).contains(&mtu);
    if fits { Ok(mtu) } else { Err(ParametersError::Mtu { side, got: u32::from(mtu) }) }
}

/// A mask of `bits` ones, written as an address.
fn mask(bits: u8) -> Ipv6Addr {
    let zeros = 128_u32.saturating_sub(u32::from(bits));
    Ipv6Addr::from_bits(u128::MAX.checked_shl(zeros).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer() -> DeviceParameters {
        DeviceParameters {
            server_address: "fd58:8c92:8961::1".parse().unwrap(),
            server_rsd_port: 56307,
            client_address: "fd58:8c92:8961::2".parse().unwrap(),
            max_mtu: 16_000,
        }
    }

    fn response(edit: impl FnOnce(&mut ServerHandshakeResponse)) -> Result<Parameters, String> {
        let (_, mut response) = Parameters::grant(&ClientHandshakeRequest { mtu: 16_000 }, &offer()).unwrap();
        edit(&mut response);
        Parameters::from_response(16_000, &response).map_err(|error| error.to_string())
    }

    #[test]
    fn both_ends_agree() {
        for (asked, max_mtu, mtu) in
            [(16_000, 16_000, 16_000), (16_000, 1400, 1400), (1420, 16_000, 1420), (1280, 1280, 1280)]
        {
            let offer = DeviceParameters { max_mtu, ..offer() };
            let request = ClientHandshakeRequest { mtu: u32::from(asked) };
            let (device, response) = Parameters::grant(&request, &offer).unwrap();
            assert_eq!(Parameters::from_response(asked, &response).unwrap(), device);
            assert_eq!(device.mtu, mtu);
            assert_eq!(response.client_parameters.netmask.to_string(), "ffff:ffff:ffff:ffff::");
        }
    }

    #[test]
    fn an_answer_with_more_than_was_asked_for_is_cut() {
        assert_eq!(response(|response| response.client_parameters.mtu = 65_535).unwrap().mtu, 16_000);
        assert_eq!(response(|response| response.client_parameters.mtu = u32::MAX).unwrap().mtu, 16_000);
    }

    type Change = Box<dyn FnOnce(&mut ServerHandshakeResponse)>;

    #[test]
    fn what_could_harm_this_computer_is_refused() {
        let address = |text: &str| text.parse::<Ipv6Addr>().unwrap();
        let cases: [(&str, Change); 9] = [
            ("an MTU below IPv6's", Box::new(|r| r.client_parameters.mtu = 1279)),
            ("a default route", Box::new(move |r| r.client_parameters.netmask = address("::"))),
            ("a wide route", Box::new(move |r| r.client_parameters.netmask = address("fe00::"))),
            ("a mask with holes", Box::new(move |r| r.client_parameters.netmask = address("ff:ff:ff:ff::"))),
            ("a global address", Box::new(move |r| r.client_parameters.address = address("2001:db8::2"))),
            ("loopback", Box::new(move |r| r.server_address = address("::1"))),
            ("another network", Box::new(move |r| r.server_address = address("fd00::1"))),
            ("one address for both", Box::new(|r| r.server_address = r.client_parameters.address)),
            ("no port", Box::new(|r| r.server_rsd_port = 0)),
        ];
        let texts = cases.map(|(name, edit)| format!("{name}: {}", response(edit).unwrap_err()));
        insta::assert_snapshot!(texts.join("\n"));
    }

    #[test]
    fn a_request_below_ipv6s_minimum_is_refused() {
        let error = Parameters::grant(&ClientHandshakeRequest { mtu: 1202 }, &offer()).unwrap_err();
        assert_eq!(error, ParametersError::Mtu { side: "the host", got: 1202 });
    }
}
