//! The NCM functions of a configuration. Source: protocol.md §1.5; CDC 1.2 §3.4; NCM 1.0 §5.

use std::ops::RangeInclusive;

use thiserror::Error;

use crate::descriptor::{Configuration, Descriptors, Endpoint, Ethernet, Functional, Setting, Transfer};

/// Class and subclass of an NCM control interface. Source: protocol.md §1.5; NCM 1.0 table 4-1.
pub const CONTROL: (u8, u8) = (2, 0x0d);
/// Class of a CDC data interface. Source: CDC 1.2 table 17.
pub const DATA_CLASS: u8 = 10;
/// wMaxPacketSize of a bulk endpoint: its upper five bits are 0, and libraries ignore them. Source: USB 2.0 §9.6.6.
const BULK_PACKET: RangeInclusive<u16> = 1..=0x07ff;

/// One NCM function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NcmFunction {
    /// bInterfaceNumber of its control interface: what class requests name.
    pub control: u8,
    /// bInterfaceNumber of its data interface.
    pub data: u8,
    /// The alternate setting of the data interface that has the endpoints.
    pub alternate: u8,
    /// Frames to the host.
    pub bulk_in: Endpoint,
    /// Frames from the host.
    pub bulk_out: Endpoint,
    /// Notifications; the private function has none.
    pub status: Option<Endpoint>,
    /// The Ethernet functional descriptor: iMACAddress and the segment size.
    pub ethernet: Ethernet,
    /// bmNetworkCapabilities, 0 when there is no NCM functional descriptor.
    pub capabilities: u8,
}

impl NcmFunction {
    /// Whether it is the private one, which carries RSD: it has no status endpoint. Source: protocol.md §1.5.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.status.is_none()
    }
}

/// An NCM control interface that makes no function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FunctionError {
    /// No Ethernet functional descriptor, so no iMACAddress.
    #[error("NCM control interface {control} has no Ethernet functional descriptor; replug the phone")]
    NoEthernet {
        /// bInterfaceNumber.
        control: u8,
    },
    /// No data interface.
    #[error(
        "NCM control interface {control} names data interface {data}, which is none of class 10; replug the phone"
    )]
    NoData {
        /// bInterfaceNumber.
        control: u8,
        /// What its union says, or the number after its own.
        data: u8,
    },
    /// A data interface without a pair of bulk endpoints.
    #[error(
        "no alternate setting of data interface {data} (control interface {control}) has one bulk endpoint in and \
         one out; replug the phone"
    )]
    NoEndpoints {
        /// bInterfaceNumber of the control interface.
        control: u8,
        /// bInterfaceNumber of the data interface.
        data: u8,
    },
}

impl Configuration {
    /// Its NCM functions in their order, and what is wrong with those that are none.
    #[must_use]
    pub fn ncm_functions(&self) -> Vec<Result<NcmFunction, FunctionError>> {
        let controls = self
            .settings
            .iter()
            .filter(|setting| (setting.class, setting.subclass) == CONTROL && setting.alternate == 0);
        controls.map(|control| self.ncm_function(control)).collect()
    }

    /// The function that carries RSD.
    #[must_use]
    pub fn private_function(&self) -> Option<NcmFunction> {
        self.ncm_functions().into_iter().flatten().find(NcmFunction::is_private)
    }

    /// The function for tethering.
    #[must_use]
    pub fn tethering_function(&self) -> Option<NcmFunction> {
        self.ncm_functions().into_iter().flatten().find(|function| !function.is_private())
    }

    fn ncm_function(&self, setting: &Setting) -> Result<NcmFunction, FunctionError> {
        let control = setting.interface;
        let functional = &setting.functional;
        let ethernet = functional.iter().find_map(|one| match one {
            Functional::Ethernet(ethernet) => Some(*ethernet),
            _ => None,
        });
        let ethernet = ethernet.ok_or(FunctionError::NoEthernet { control })?;
        let capabilities = functional.iter().find_map(|one| match one {
            Functional::Ncm { capabilities, .. } => Some(*capabilities),
            _ => None,
        });
        let union = functional.iter().find_map(|one| match one {
            Functional::Union { control: own, data } if *own == control => Some(*data),
            _ => None,
        });
        // Inferred (docs/research/gaps.md): without a union of its own it goes with the interface behind it.
        let data = union.unwrap_or(control.wrapping_add(1));
        let mut alternates =
            self.settings.iter().filter(|one| one.interface == data && one.class == DATA_CLASS);
        if alternates.clone().next().is_none() {
            return Err(FunctionError::NoData { control, data });
        }
        let (alternate, bulk_in, bulk_out) =
            alternates.find_map(bulk_pair).ok_or(FunctionError::NoEndpoints { control, data })?;
        let status = setting
            .endpoints
            .iter()
            .copied()
            .find(|endpoint| endpoint.is_in() && endpoint.transfer() == Transfer::Interrupt);
        let capabilities = capabilities.unwrap_or_default();
        Ok(NcmFunction { control, data, alternate, bulk_in, bulk_out, status, ethernet, capabilities })
    }
}

/// The setting's bulk endpoints, when it has exactly these two.
fn bulk_pair(setting: &Setting) -> Option<(u8, Endpoint, Endpoint)> {
    let [a, b] = setting.endpoints[..] else { return None };
    let bulk = |endpoint: Endpoint| {
        endpoint.transfer() == Transfer::Bulk
            && BULK_PACKET.contains(&endpoint.max_packet)
            && endpoint.address & 0x0f != 0
    };
    match (bulk(a) && bulk(b), a.is_in(), b.is_in()) {
        (true, true, false) => Some((setting.alternate, a, b)),
        (true, false, true) => Some((setting.alternate, b, a)),
        _ => None,
    }
}

impl Descriptors {
    /// The configuration to choose: one with the private function and usbmux before one without usbmux.
    #[must_use]
    pub fn ncm_configuration(&self) -> Option<(&Configuration, NcmFunction)> {
        let with = |configuration| Configuration::private_function(configuration).map(|f| (configuration, f));
        let all = || self.configurations.iter().filter_map(with);
        all().find(|(configuration, _)| configuration.has_usbmux()).or_else(|| all().next())
    }
}
