//! A host and a device with their envelopes between them, and nothing random: both generators are seeded.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects
)]

use std::collections::VecDeque;
use std::time::Duration;

use iosmux_pairing::control::device::{
    DeviceAction, DeviceConfig, DeviceControl, DeviceEvent, KnownHosts, Listening, PairPolicy,
};
use iosmux_pairing::control::host::{
    HostAction, HostConfig, HostControl, HostEvent, ListenerWish, PeerProof, Psk, WishedTransport,
};
use iosmux_pairing::envelope::{ControlMessage, Envelope, Origin, remotexpc, rppairing};
use iosmux_pairing::error::ControlError;
use iosmux_pairing::identity::{Identity, host_identifier};
use iosmux_pairing::info::DeviceDescription;
use iosmux_pairing::listener::{CreateListener, ListenerAnswer, ed25519_public_key_info};
use iosmux_pairing::message::{
    Body, DeviceOptions, ErrorExtended, Event, HandshakeResponse, HostKey, PairingData, PairingKind,
    PeerDeviceInfo,
};
use iosmux_pairing::record::PairRecord;
use iosmux_pairing::srp::OperandForm;
use iosmux_pairing::tlv8::{Tlv8, tag};
use iosmux_xpc::{Limits, Object};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use zeroize::Zeroizing;

pub const UDID: &str = "00008120-000000000000001E";
pub const HOST_KEY: &str = "+50NcngPUeJN4NvUIC5SbDWM2sFMQx2njRGulYV0Kbk=";

pub fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

pub fn device_identity(seed: u64) -> Identity {
    Identity::generate("7C2F9A60-0000-4000-8000-000000000001", &mut rng(seed)).unwrap()
}

pub fn host_config(record: Option<PairRecord>) -> HostConfig {
    let identity = Identity::generate(host_identifier("vm"), &mut rng(500)).unwrap();
    HostConfig::new("vm", identity, record)
}

pub fn device_config(policy: PairPolicy) -> DeviceConfig {
    DeviceConfig {
        identity: device_identity(600),
        description: DeviceDescription {
            model: "iPhone15,3".into(),
            name: "Test phone".into(),
            udid: UDID.into(),
            serial_number: "F00000000001".into(),
            bt_addr: "02:00:00:00:00:01".into(),
            ecid: Some(0x1e),
        },
        handshake: HandshakeResponse {
            wire_protocol_version: 26,
            options: DeviceOptions {
                allows_pair_setup: Some(true),
                allows_pinless_pairing: Some(true),
                allows_promptless_automation_pairing_upgrade: Some(false),
                allows_upgrade_of_lockdown_pairings: None,
                allows_sharing_sensitive_info: Some(false),
                allows_incoming_tunnel_connections: Some(true),
            },
            device: Some(PeerDeviceInfo {
                identifier: UDID.into(),
                name: Some("Test phone".into()),
                model: Some("iPhone15,3".into()),
                udid: Some(UDID.into()),
                ecid: Some(0x1e),
                kvs_data: None,
                kvs_includes_sensitive_info: Some(false),
            }),
        },
        known_hosts: KnownHosts::new(),
        policy,
        unlock_key: Ok(HostKey::new(HOST_KEY)),
        close_after_setup: false,
    }
}

/// Which envelope the messages travel in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wire {
    RemoteXpc,
    RpPairing,
}

type Tamper = Box<dyn FnMut(&mut Envelope)>;

/// What is going to happen.
pub struct Scenario {
    pub host: HostConfig,
    pub device: DeviceConfig,
    pub wire: Wire,
    /// What the person types, one after the other.
    pub pins: Vec<&'static str>,
    pub consent: bool,
    pub listener: bool,
    /// What the device answers to the wish for a listener instead of a port.
    pub listener_refused: Option<ErrorExtended>,
    pub now: Duration,
    pub seed: u64,
    /// Changes what is on the way.
    pub tamper: Option<Tamper>,
}

impl Scenario {
    pub fn new(host: HostConfig, device: DeviceConfig) -> Self {
        Self {
            host,
            device,
            wire: Wire::RemoteXpc,
            pins: Vec::new(),
            consent: true,
            listener: true,
            listener_refused: None,
            now: Duration::from_secs(1000),
            seed: 1,
            tamper: None,
        }
    }

    pub fn first_time(policy: PairPolicy) -> Self {
        Self::new(host_config(None), device_config(policy))
    }

    /// After a pairing: the host has its record, the device knows the host.
    pub fn again(first: &Outcome) -> Self {
        let mut device = device_config(PairPolicy::Reject { description: "no second setup".into() });
        device.known_hosts = first.known_hosts.clone();
        Self::new(host_config(first.saved.clone()), device)
    }
}

/// What happened.
#[derive(Debug, Default)]
pub struct Outcome {
    pub host_error: Option<ControlError>,
    pub device_error: Option<ControlError>,
    pub saved: Option<PairRecord>,
    pub known_hosts: KnownHosts,
    pub proof: Option<PeerProof>,
    pub paired: Option<Option<OperandForm>>,
    pub ready: bool,
    pub reconnect: bool,
    pub consent_shown: bool,
    pub pins_asked: usize,
    pub listener: Option<(ListenerAnswer, Option<Psk>)>,
    pub opened: Option<CreateListener>,
    pub transcript: Vec<String>,
}

struct Run {
    host: HostControl,
    device: DeviceControl,
    scenario_pins: VecDeque<&'static str>,
    consent: bool,
    listener: bool,
    listener_refused: Option<ErrorExtended>,
    now: Duration,
    host_rng: ChaCha20Rng,
    device_rng: ChaCha20Rng,
    wire: Wire,
    tamper: Option<Tamper>,
    queue: VecDeque<Step>,
    out: Outcome,
}

enum Step {
    Host(HostEvent),
    Device(DeviceEvent),
}

pub fn run(scenario: Scenario) -> Outcome {
    let mut run = Run {
        host: HostControl::new(scenario.host),
        device: DeviceControl::new(scenario.device),
        scenario_pins: scenario.pins.into(),
        consent: scenario.consent,
        listener: scenario.listener,
        listener_refused: scenario.listener_refused,
        now: scenario.now,
        host_rng: rng(scenario.seed),
        device_rng: rng(scenario.seed + 1_000_000),
        wire: scenario.wire,
        tamper: scenario.tamper,
        queue: VecDeque::from([Step::Host(HostEvent::Start)]),
        out: Outcome::default(),
    };
    while let Some(step) = run.queue.pop_front() {
        if !run.step(step) {
            break;
        }
    }
    run.out.known_hosts = run.device.known_hosts().clone();
    run.out
}

impl Run {
    /// Whether both sides still talk.
    fn step(&mut self, step: Step) -> bool {
        match step {
            Step::Host(event) => match self.host.on(self.now, event, &mut self.host_rng) {
                Ok(actions) => actions.into_iter().for_each(|action| self.host_action(action)),
                Err(error) => self.out.host_error = Some(error),
            },
            Step::Device(event) => match self.device.on(self.now, event, &mut self.device_rng) {
                Ok(actions) => actions.into_iter().for_each(|action| self.device_action(action)),
                Err(error) => self.out.device_error = Some(error),
            },
        }
        self.out.host_error.is_none() && self.out.device_error.is_none()
    }

    fn host_action(&mut self, action: HostAction) {
        match action {
            HostAction::Send(envelope) => {
                let envelope = self.transmit(envelope);
                self.queue.push_back(Step::Device(DeviceEvent::Message(envelope)));
            }
            HostAction::Device(_) => {}
            HostAction::AwaitingConsent => self.out.consent_shown = true,
            HostAction::NeedPin => {
                self.out.pins_asked += 1;
                let pin = Zeroizing::new(self.scenario_pins.pop_front().unwrap().to_owned());
                self.queue.push_back(Step::Host(HostEvent::Pin(pin)));
            }
            HostAction::Verified(proof) => self.out.proof = Some(proof),
            HostAction::Paired(form) => self.out.paired = Some(form),
            HostAction::Save(record) => self.out.saved = Some(*record),
            HostAction::Ready => {
                self.out.ready = true;
                if self.listener {
                    let wish = ListenerWish { transport: WishedTransport::Tcp, owning_pid: 42 };
                    self.queue.push_back(Step::Host(HostEvent::OpenListener(wish)));
                }
            }
            HostAction::Listener { answer, psk } => self.out.listener = Some((answer, psk)),
            HostAction::Reconnect => self.out.reconnect = true,
        }
    }

    fn device_action(&mut self, action: DeviceAction) {
        match action {
            DeviceAction::Send(envelope) => {
                let envelope = self.transmit(envelope);
                self.queue.push_back(Step::Host(HostEvent::Message(envelope)));
            }
            DeviceAction::AskUser { .. } => {
                self.queue.push_back(Step::Device(DeviceEvent::Consent(self.consent)));
            }
            DeviceAction::OpenListener(request) => {
                self.out.opened = Some(request);
                let key = device_identity(600).public_key();
                let listening = Listening {
                    port: 50123,
                    device_public_key: ed25519_public_key_info(key.as_bytes()),
                    service_name: None,
                };
                let answer = self.listener_refused.take().map_or(Ok(listening), Err);
                self.queue.push_back(Step::Device(DeviceEvent::Listening(answer)));
            }
            DeviceAction::Close => {
                // What was sent arrives first.
                self.queue.push_back(Step::Host(HostEvent::Closed));
                self.listener = false;
            }
            DeviceAction::ShowPin
            | DeviceAction::SetupFailed(_)
            | DeviceAction::Paired { .. }
            | DeviceAction::Verified { .. } => {}
        }
    }

    fn transmit(&mut self, mut envelope: Envelope) -> Envelope {
        self.out.transcript.push(describe(&envelope));
        if let Some(tamper) = &mut self.tamper {
            tamper(&mut envelope);
        }
        through(self.wire, &envelope)
    }
}

/// The envelope as the other side reads it.
pub fn through(wire: Wire, envelope: &Envelope) -> Envelope {
    match wire {
        Wire::RemoteXpc => {
            let bytes = remotexpc::encode(envelope).encode().unwrap();
            let object = Object::decode(&bytes, &Limits::default()).unwrap();
            match remotexpc::decode(&object).unwrap() {
                remotexpc::Incoming::Envelope(envelope) => envelope,
                other => panic!("{other:?}"),
            }
        }
        Wire::RpPairing => {
            let mut decoder = rppairing::Decoder::new();
            decoder.push(&rppairing::encode(envelope).unwrap());
            decoder.next_envelope().unwrap().unwrap()
        }
    }
}

/// The pairing step in an envelope.
pub fn step_of(envelope: &Envelope) -> Option<(PairingKind, Tlv8)> {
    match &envelope.message {
        ControlMessage::Plain(Body::Event(Event::PairingData(data))) => {
            Some((data.kind.clone(), Tlv8::decode(&data.data).ok()?))
        }
        _ => None,
    }
}

/// Replaces the pairing step in an envelope.
pub fn set_step(envelope: &mut Envelope, tlv: &Tlv8) {
    if let ControlMessage::Plain(Body::Event(Event::PairingData(data))) = &mut envelope.message {
        data.data = tlv.encode();
    }
}

/// One line about an envelope: names and lengths, no values.
fn describe(envelope: &Envelope) -> String {
    let arrow = match envelope.origin {
        Origin::Host => "host   →",
        Origin::Device => "device →",
    };
    let what = match &envelope.message {
        ControlMessage::StreamEncrypted(sealed) => format!("encrypted {sealed:?}"),
        ControlMessage::Plain(Body::Event(Event::PairingData(data))) => describe_step(data),
        ControlMessage::Plain(body) => body.name().to_owned(),
    };
    format!("{arrow} #{} {what}", envelope.sequence_number)
}

fn describe_step(data: &PairingData) -> String {
    let tlv = Tlv8::decode(&data.data).unwrap();
    let items: Vec<_> = tlv
        .iter()
        .map(|(tag, value)| match tag {
            tag::STATE | tag::METHOD | tag::ERROR => format!("{}={}", tag_name(tag), value[0]),
            _ => format!("{}[{}]", tag_name(tag), value.len()),
        })
        .collect();
    let start = if data.start_new_session { " start" } else { "" };
    let host = data.sending_host.as_ref().map_or(String::new(), |host| format!(" host={host}"));
    format!("{:?}{start}{host}: {}", data.kind, items.join(" "))
}

fn tag_name(tag: u8) -> &'static str {
    match tag {
        tag::METHOD => "method",
        tag::IDENTIFIER => "identifier",
        tag::SALT => "salt",
        tag::PUBLIC_KEY => "public-key",
        tag::PROOF => "proof",
        tag::ENCRYPTED_DATA => "encrypted",
        tag::STATE => "state",
        tag::ERROR => "error",
        tag::RETRY_DELAY => "retry-delay",
        _ => "?",
    }
}
