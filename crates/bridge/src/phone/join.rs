//! From the NCM configuration to the bridge.

use std::time::Duration;

use super::event::{Action, Work};
use super::machine::{Hold, Machine, Wait};
use super::picture::{Ncm, Usb};
use super::policy::Driver;
use super::reason::Reason;
use super::state::State;
use crate::ports::{Bridge, Port, PortState};

impl Machine {
    /// The next step towards the bridge, from what is there.
    pub(super) fn join(&mut self, now: Duration, out: &mut Vec<Action>) {
        let Some(usb) = self.picture.usb.clone() else { return self.absent(now, out) };
        if let Some(hold) = &self.hold {
            if !hold.is_over(now, &usb) {
                return;
            }
            self.hold = None;
        }
        if let Some(refusal) = self.wanted.refusal.clone() {
            return self.held(now, refusal, out);
        }
        match &usb.layout {
            Err(problem) => self.held(now, Reason::Descriptors { problem: problem.clone() }, out),
            Ok(layout) => match layout.ncm {
                None => self.switch(now, out),
                Some(ncm) => self.configure(now, &usb, ncm, out),
            },
        }
    }

    fn configure(&mut self, now: Duration, usb: &Usb, ncm: Ncm, out: &mut Vec<Action>) {
        self.has_ncm = true;
        (self.unswitched, self.refusals, self.sent) = (0, 0, None);
        if usb.configuration != Some(ncm.configuration) {
            return self.choose(now, usb, ncm, out);
        }
        self.configured = true;
        // The way back needs the handle, and who can't have it should know at once.
        if !self.open {
            return self.begin(now, Work::Open, out);
        }
        if self.userspace.is_some() && self.wanted.driver == Driver::Kernel {
            self.enter(State::Configured, None, out);
            return self.begin(now, Work::StopUserspace, out);
        }
        let Some(index) = self.userspace.or_else(|| self.kernel_interface(now, usb, ncm, out)) else {
            return;
        };
        self.reach_bridge(now, index, out);
    }

    /// Another configuration is chosen, or none yet.
    fn choose(&mut self, now: Duration, usb: &Usb, ncm: Ncm, out: &mut Vec<Action>) {
        let taken = std::mem::take(&mut self.configured);
        if taken {
            self.taken = self.taken.saturating_add(1);
            // What it had is gone with the configuration.
            self.attached = None;
            if self.userspace.is_some() {
                return self.begin(now, Work::StopUserspace, out);
            }
        }
        self.enter(State::ReEnumerated, None, out);
        if self.taken >= self.policy.attempts {
            return self.begin(now, Work::FindMeddlers, out);
        }
        if taken {
            // apple_mfi_fastcharge chooses 0, then 1: in between nothing is gained.
            self.pause = Some(now.saturating_add(self.policy.pause_after(self.taken)));
            return;
        }
        if self.taken == 0 && !self.is_over(now, Wait::Rule, self.policy.rule) {
            return;
        }
        if !self.open {
            return self.begin(now, Work::Open, out);
        }
        tracing::debug!(address = %usb.address, came = ?usb.configuration, wanted = ncm.configuration, "choosing");
        self.begin(now, Work::SetConfiguration(ncm.configuration), out);
    }

    /// The kernel's interface of the function, once it is there and named; else the userspace driver is begun, if it may be.
    fn kernel_interface(&mut self, now: Duration, usb: &Usb, ncm: Ncm, out: &mut Vec<Action>) -> Option<u32> {
        let control = ncm.function.control;
        if self.wanted.driver == Driver::Userspace {
            self.enter(State::Configured, None, out);
            self.begin(now, Work::StartUserspace(ncm.function), out);
            return None;
        }
        if let Some(netdev) = usb.interface() {
            let index = netdev.index;
            let enough = netdev.named || self.unnamed == Some(index);
            if enough || self.is_over(now, Wait::Naming, self.policy.naming) {
                self.unnamed = (!netdev.named).then_some(index);
                return Some(index);
            }
            self.enter(State::Configured, None, out);
            return None;
        }
        let limit = if usb.netdevs.is_empty() { self.policy.netdev } else { self.policy.second_netdev };
        let over = self.is_over(now, Wait::Netdev, limit);
        match self.wanted.driver {
            _ if !over => self.enter(State::Configured, None, out),
            Driver::Kernel => self.held(now, Reason::NoNetdev { control }, out),
            Driver::Auto | Driver::Userspace => {
                self.enter(State::Configured, None, out);
                tracing::info!(
                    interface = control,
                    "the kernel made no network interface for the private NCM function: iosmux' own driver carries it"
                );
                self.begin(now, Work::StartUserspace(ncm.function), out);
            }
        }
        None
    }

    fn reach_bridge(&mut self, now: Duration, index: u32, out: &mut Vec<Action>) {
        if let Some(text) = self.picture.unknown.clone() {
            let what = format!("asking the kernel for {} and its ports", self.wanted.bridge);
            return self.held(now, Reason::Failing { what, text, attempts: 1 }, out);
        }
        let Some(port) = self.picture.port.clone().filter(|port| port.index == index) else {
            if !self.is_over(now, Wait::Port, self.policy.netdev) {
                return self.enter(State::Configured, None, out);
            }
            // Its driver made it, and it is no interface of this network namespace.
            let text = format!("the network interface {index} is not in this network namespace");
            return self.fail(now, "finding its network interface".to_owned(), text, out);
        };
        if self.state != State::Joined && self.state != State::Held {
            self.enter(State::NetdevUp, self.reason.clone().filter(|_| self.state == State::NetdevUp), out);
        }
        let Some(bridge) = self.picture.bridge.clone() else {
            // Not out of the wanted one: it may be there, and the kernel gave no answer.
            if port.master.is_some() && port.master == self.former && port.master == self.attached {
                return self.begin(now, Work::Detach { port: port.index }, out);
            }
            let bridge = self.wanted.bridge.clone();
            let no_bridge = self.picture.no_bridge;
            let reason =
                if no_bridge { Reason::NotABridge { bridge } } else { Reason::BridgeMissing { bridge } };
            return self.held(now, reason, out);
        };
        match port.master {
            Some(master) if master == bridge.index => self.port(now, &port, &bridge, out),
            Some(master) if self.attached == Some(master) => {
                self.begin(now, Work::Detach { port: port.index }, out);
            }
            Some(master) => self.held(now, Reason::OtherBridge { interface: port.name, master }, out),
            None => self.attach(now, &port, &bridge, out),
        }
    }

    fn attach(&mut self, now: Duration, port: &Port, bridge: &Bridge, out: &mut Vec<Action>) {
        // Only where it was in this very bridge was it taken out; a bridge made anew has another index.
        if self.attached.take() == Some(bridge.index) {
            self.attaches = self.attaches.saturating_add(1);
            let times = self.attaches;
            if times >= self.policy.attempts {
                let hold = Hold::until(now.saturating_add(self.policy.retry));
                return self.keep_held(
                    now,
                    Reason::TakenOut { interface: port.name.clone(), times },
                    hold,
                    out,
                );
            }
        }
        self.enter(State::NetdevUp, None, out);
        self.begin_attach(now, port, bridge, out);
    }

    fn begin_attach(&mut self, now: Duration, port: &Port, bridge: &Bridge, out: &mut Vec<Action>) {
        let isolated = self.wanted.isolated;
        self.isolated = isolated;
        self.begin(now, Work::Attach { port: port.index, bridge: bridge.index, isolated }, out);
    }

    /// It is a port of the bridge: as wanted, and do frames pass?
    fn port(&mut self, now: Duration, port: &Port, bridge: &Bridge, out: &mut Vec<Action>) {
        let first = self.attached.replace(bridge.index).is_none();
        if !port.up || !port.no_addresses || port.isolated != self.wanted.isolated {
            if first || self.state != State::NetdevUp || self.isolated != self.wanted.isolated {
                self.enter(State::NetdevUp, None, out);
                return self.begin_attach(now, port, bridge, out);
            }
            let text = format!("{} is a port and not as it was made", port.name);
            return self.fail(now, "joining the bridge".to_owned(), text, out);
        }
        match port.state {
            Some(PortState::Forwarding) => self.joined(now, out),
            _ if !bridge.up => self.held(now, Reason::BridgeDown { bridge: self.wanted.bridge.clone() }, out),
            Some(PortState::Listening | PortState::Learning) => {
                let delay = bridge.forward_delay;
                // Two phases, and some time for both to begin.
                let limit = delay.saturating_mul(2).saturating_add(self.policy.carrier);
                if self.is_over(now, Wait::ForwardDelay, limit) {
                    return self.not_forwarding(now, port, out);
                }
                let bridge = self.wanted.bridge.clone();
                self.enter(State::NetdevUp, Some(Reason::ForwardDelay { bridge, delay }), out);
            }
            Some(PortState::Blocking) => self.not_forwarding(now, port, out),
            Some(PortState::Disabled) | None => {
                if self.is_over(now, Wait::Carrier, self.policy.carrier) {
                    return self.not_forwarding(now, port, out);
                }
                self.enter(State::NetdevUp, None, out);
            }
        }
    }

    fn not_forwarding(&mut self, now: Duration, port: &Port, out: &mut Vec<Action>) {
        self.held(now, Reason::NotForwarding { interface: port.name.clone(), state: port.state }, out);
    }

    fn joined(&mut self, now: Duration, out: &mut Vec<Action>) {
        self.wait = None;
        self.enter(State::Joined, None, out);
        self.joined_at.get_or_insert(now);
        self.shown_at.get_or_insert(now);
        if self.inspected.is_none_or(|at| now.saturating_sub(at) >= self.policy.firewall) {
            self.inspected = Some(now);
            self.begin(now, Work::Inspect, out);
        }
    }

    /// Whether it was joined for long enough to forgive what failed before.
    pub(super) fn has_settled(&self, now: Duration) -> bool {
        self.joined_at.is_some_and(|at| now.saturating_sub(at) >= self.policy.settled)
    }
}
