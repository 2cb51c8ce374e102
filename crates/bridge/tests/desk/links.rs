//! Bridges and ports, played.

use std::io;

use iosmux_bridge::ports::{Bridge, Dropped, LinkControl, LinkError, Port, PortState};

use super::usb::FakeChanges;
use super::{Desk, State};

pub(crate) struct FakeLinks(pub Desk);

/// Whether the kernel can be asked.
fn asked(state: &State) -> Result<(), LinkError> {
    let failed = || LinkError::Io { action: "asking netlink", source: io::Error::other("this is played") };
    if state.no_netlink { Err(failed()) } else { Ok(()) }
}

impl LinkControl for FakeLinks {
    type Changes = FakeChanges;

    fn changes(&self) -> io::Result<FakeChanges> {
        Ok(FakeChanges(self.0.changes.subscribe()))
    }

    async fn bridge(&self, name: &str) -> Result<Option<Bridge>, LinkError> {
        let state = self.0.state();
        asked(&state)?;
        if state.others.contains(name) {
            return Err(LinkError::NoBridge);
        }
        Ok(state.bridges.get(name).cloned())
    }

    async fn port(&self, index: u32) -> Result<Option<Port>, LinkError> {
        let state = self.0.state();
        asked(&state)?;
        Ok(state.ports.get(&index).cloned())
    }

    async fn attach(&self, port: u32, bridge: u32, isolated: bool) -> Result<(), LinkError> {
        self.0.change(|state| {
            if !state.bridges.values().any(|one| one.index == bridge) {
                return Err(LinkError::Gone);
            }
            state.attaches += 1;
            let port = state.ports.get_mut(&port).ok_or(LinkError::Gone)?;
            (port.master, port.isolated, port.up, port.no_addresses) = (Some(bridge), isolated, true, true);
            port.state = Some(PortState::Forwarding);
            Ok(())
        })
    }

    async fn detach(&self, port: u32) -> Result<(), LinkError> {
        self.0.change(|state| {
            if let Some(port) = state.ports.get_mut(&port) {
                (port.master, port.state, port.up) = (None, None, false);
            }
        });
        Ok(())
    }

    async fn dropped(&self) -> Option<Dropped> {
        None
    }
}
