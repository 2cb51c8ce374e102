//! sysfs and usbfs, played.

use std::io;
use std::time::Duration;

use iosmux_bridge::ports::{
    Address, Attached, Changes, Holder, Netdev, Phones, UsbDevice, UsbError, UsbHost,
};
use iosmux_usb::Setup;
use iosmux_usb::mode::{GET_MODE, Mode};
use tokio::sync::watch;

use super::{Desk, Plugged, State};

/// How long a request takes.
const REQUEST: Duration = Duration::from_millis(2);

pub(crate) struct FakeUsb(pub Desk);

pub(crate) struct FakeChanges(pub watch::Receiver<u64>);

impl Changes for FakeChanges {
    async fn changed(&mut self) -> io::Result<()> {
        self.0.changed().await.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}

impl UsbHost for FakeUsb {
    type Device = FakeDevice;
    type Changes = FakeChanges;

    fn changes(&self) -> io::Result<FakeChanges> {
        Ok(FakeChanges(self.0.changes.subscribe()))
    }

    async fn list(&self) -> io::Result<Phones> {
        let takes = self.0.state().sysfs_takes;
        tokio::time::sleep(takes).await;
        let state = self.0.state();
        let mut phones = Phones::default();
        for (id, phone) in &state.phones {
            match phone.number {
                Some(number) if phone.locked => {
                    phones.late.push(Address { id: id.clone(), bus: 1, device: number });
                }
                Some(number) => phones.attached.push(attached(&state, id, number, phone)),
                None => {}
            }
        }
        Ok(phones)
    }

    async fn open(&self, address: &Address) -> Result<FakeDevice, UsbError> {
        tokio::time::sleep(REQUEST).await;
        let panics = self.0.state().open_panics;
        assert!(!panics, "this is played");
        let mut state = self.0.state();
        if !state.may_open {
            let node = format!("/dev/bus/usb/{:03}/{:03}", address.bus, address.device);
            return Err(UsbError::Denied { node });
        }
        if state.phones.get(&address.id).and_then(|phone| phone.number) != Some(address.device) {
            return Err(UsbError::Gone);
        }
        state.open_handles += 1;
        Ok(FakeDevice { desk: self.0.clone(), address: address.clone() })
    }

    async fn meddlers(&self, _: &Address) -> Vec<Holder> {
        self.0.state().meddlers.clone()
    }
}

fn attached(state: &State, id: &str, number: u8, phone: &Plugged) -> Attached {
    let device = &phone.device;
    let mut descriptors = device.descriptors().device.clone();
    device.descriptors().configurations.iter().for_each(|one| descriptors.extend(one));
    let netdevs = phone.netdevs.iter().filter_map(|(control, index)| {
        let port = state.ports.get(index)?;
        let (name, mac) = (port.name.clone(), port.mac);
        Some(Netdev { interface: *control, index: *index, name, mac, named: state.names })
    });
    Attached {
        address: Address { id: id.to_owned(), bus: 1, device: number },
        descriptors,
        configuration: Some(device.configuration()),
        serial: Some(device.config().udid.to_serial().into_bytes()),
        drivers: Vec::new(),
        netdevs: netdevs.collect(),
    }
}

pub(crate) struct FakeDevice {
    desk: Desk,
    address: Address,
}

impl Drop for FakeDevice {
    fn drop(&mut self) {
        self.desk.state().open_handles -= 1;
    }
}

impl FakeDevice {
    /// As usbfs does: a handle of a phone that left its address is good for nothing.
    async fn here(&self) -> Result<(), UsbError> {
        tokio::time::sleep(REQUEST).await;
        let silent = {
            let state = self.desk.state();
            let phone = state.phones.get(&self.address.id).ok_or(UsbError::Gone)?;
            if phone.number != Some(self.address.device) {
                return Err(UsbError::Gone);
            }
            phone.silent
        };
        if silent { std::future::pending().await } else { Ok(()) }
    }

    async fn control(&self, setup: Setup) -> Result<Vec<u8>, UsbError> {
        self.here().await?;
        self.desk.control(&self.address.id, setup).ok_or(UsbError::Refused)
    }
}

impl UsbDevice for FakeDevice {
    async fn get_mode(&self) -> Result<Vec<u8>, UsbError> {
        self.control(GET_MODE).await
    }

    async fn set_mode(&self, mode: u8) -> Result<Vec<u8>, UsbError> {
        self.desk.state().modes.push(mode);
        self.control(Mode::from_number(mode.into()).unwrap().set()).await
    }

    async fn set_configuration(&self, value: u8) -> Result<(), UsbError> {
        self.here().await?;
        let holders = self.desk.state().phones[&self.address.id].holders.clone();
        if !holders.is_empty() {
            return Err(UsbError::Busy { holders });
        }
        self.desk.state().configurations.push(value);
        self.desk.configure(&self.address.id, value);
        Ok(())
    }

    async fn string(&self, index: u8) -> Result<String, UsbError> {
        let bytes = self.control(Setup::get_descriptor(3, index, 0x0409, 255)).await?;
        iosmux_usb::string::decode(&bytes).map_err(|_| UsbError::Refused)
    }
}
