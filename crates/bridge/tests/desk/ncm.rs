//! The userspace driver, played: a TAP interface that lives as long as it.

use iosmux_bridge::ports::{Counters, Function, RunningNcm, UsbDevice as _, UsbError, UserspaceNcm};
use iosmux_usb::Mac;

use super::Desk;
use super::usb::FakeDevice;

pub(crate) struct FakeNcm(pub Desk);

pub(crate) struct FakeRunning {
    desk: Desk,
    index: u32,
}

impl UserspaceNcm for FakeNcm {
    type Device = FakeDevice;
    type Running = FakeRunning;

    async fn start(&self, device: &FakeDevice, function: Function) -> Result<FakeRunning, UsbError> {
        let text = device.string(function.ethernet.mac_string).await?;
        let mac = Mac::from_string_descriptor(&text).map_err(|error| UsbError::Io {
            action: "reading the iMACAddress",
            source: std::io::Error::other(error),
        })?;
        let index = self.0.change(|state| {
            let index = state.index();
            state.add_port(index, mac.0);
            state.drivers += 1;
            index
        });
        Ok(FakeRunning { desk: self.0.clone(), index })
    }
}

impl Drop for FakeRunning {
    fn drop(&mut self) {
        self.desk.change(|state| {
            state.drivers -= 1;
            state.ports.remove(&self.index);
        });
    }
}

impl RunningNcm for FakeRunning {
    fn index(&self) -> u32 {
        self.index
    }

    fn counters(&self) -> Counters {
        Counters::default()
    }

    async fn ended(&mut self) -> UsbError {
        std::future::pending().await
    }

    async fn stop(self) {}
}
