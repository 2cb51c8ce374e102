//! What a look finds.

use iosmux_usb::{Configuration, Descriptors, Mode, NcmFunction};

use crate::ports::{Address, Attached, Bound, Bridge, Netdev, Port};

/// Everything that a decision starts from.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Picture {
    /// The phone; none while it is not on USB.
    pub usb: Option<Usb>,
    /// The bridge that it is meant for.
    pub bridge: Option<Bridge>,
    /// Whether an interface that is none has its name.
    pub no_bridge: bool,
    /// The interface that [`Usb::interface`] names, or the userspace driver's.
    pub port: Option<Port>,
    /// Why the kernel could not be asked for one of them, where nothing is known from before.
    pub unknown: Option<String>,
}

/// A phone on USB.
#[derive(Debug, Clone, PartialEq)]
pub struct Usb {
    /// Where.
    pub address: Address,
    /// The configuration that is chosen.
    pub configuration: Option<u8>,
    /// What its descriptors offer; else what is wrong with them.
    pub layout: Result<Layout, String>,
    /// Which drivers have which interfaces.
    pub drivers: Vec<Bound>,
    /// Its network interfaces.
    pub netdevs: Vec<Netdev>,
}

/// What a phone's descriptors offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// The mode that it looks like.
    pub mode: Option<Mode>,
    /// The NCM configuration, in modes that have one.
    pub ncm: Option<Ncm>,
}

/// An NCM configuration and the function in it that carries RSD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ncm {
    /// bConfigurationValue.
    pub configuration: u8,
    /// The private function, or on phones without one the only one. Source: protocol.md §1.5.
    pub function: NcmFunction,
}

impl Usb {
    /// Reads what sysfs shows.
    pub fn read(attached: &Attached) -> Self {
        let layout = Descriptors::parse(&attached.descriptors);
        Self {
            address: attached.address.clone(),
            // 0 is how USB says that none is chosen.
            configuration: attached.configuration.filter(|value| *value != 0),
            layout: layout.map(|descriptors| Layout::read(&descriptors)).map_err(|error| error.to_string()),
            drivers: attached.drivers.clone(),
            netdevs: attached.netdevs.clone(),
        }
    }

    /// The NCM configuration, if the phone offers one.
    pub fn ncm(&self) -> Option<Ncm> {
        self.layout.as_ref().ok()?.ncm
    }

    /// The kernel's network interface of the function that carries RSD.
    pub fn interface(&self) -> Option<&Netdev> {
        let control = self.ncm()?.function.control;
        self.netdevs.iter().find(|netdev| netdev.interface == control)
    }
}

impl Layout {
    fn read(descriptors: &Descriptors) -> Self {
        let private = descriptors.ncm_configuration();
        let tethering = || {
            let with = |one| Configuration::tethering_function(one).map(|function| (one, function));
            descriptors.configurations.iter().find_map(with)
        };
        let ncm = private
            .or_else(tethering)
            .map(|(configuration, function)| Ncm { configuration: configuration.value, function });
        Self { mode: Mode::guess(descriptors), ncm }
    }
}
