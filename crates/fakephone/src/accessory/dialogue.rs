//! One control channel: messages from a host, the machine's answers, the user's consent, listeners.

use std::collections::VecDeque;
use std::future::Future;

use iosmux_pairing::control::device::{DeviceAction, DeviceControl, DeviceEvent, Listening};
use iosmux_pairing::envelope::{ControlMessage, Envelope};
use iosmux_pairing::error::ControlError;
use iosmux_pairing::io::random;
use iosmux_pairing::io::wire::{Wire, WireError};
use iosmux_pairing::listener::CreateListener;
use iosmux_pairing::message::{Body, Event, PairingKind};
use iosmux_pairing::store::StoreError;
use iosmux_xpc::NotSourced;
use tokio::time::{Instant, sleep_until};

use super::Accessory;
use crate::not_sourced::PAIR_SETUP_OVER_NETWORK;

/// Where a control channel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Channel {
    /// The untrusted RSD's tunnel service.
    Rsd,
    /// `_remotepairing._tcp`, for hosts that are paired.
    Network,
}

/// Why a control channel ended before its host closed it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialogueError {
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("no listener: {0}")]
    Refused(#[from] Refusal),
    #[error(transparent)]
    NotSourced(#[from] NotSourced),
}

impl DialogueError {
    /// The gap that it stopped at, if that was it.
    pub(crate) fn gap(&self) -> Option<NotSourced> {
        match self {
            Self::NotSourced(gap)
            | Self::Refused(Refusal::NotSourced(gap))
            | Self::Control(ControlError::NotSourced(gap)) => Some(*gap),
            _ => None,
        }
    }
}

/// Why there is no listener: in none of these cases is it known what a phone answers, so the channel closes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// No source tells how it goes on.
    #[error(transparent)]
    NotSourced(#[from] NotSourced),
    /// As many tunnels as are allowed are open.
    #[error("{limit} tunnels are open or about to be")]
    Busy { limit: usize },
    /// No port.
    #[error("a port can't be opened: {0}")]
    Io(#[from] std::io::Error),
    /// No QUIC.
    #[error(transparent)]
    Tunnel(#[from] iosmux_tunnel::io::TunnelError),
}

/// Opens a listener for a tunnel.
pub(crate) trait Opener {
    fn open(&self, request: CreateListener) -> impl Future<Output = Result<Listening, Refusal>> + Send;
}

/// Serves a control channel until its host closes it or it can't go on.
pub(crate) async fn run<W: Wire>(
    mut wire: W,
    accessory: &Accessory,
    channel: Channel,
    opener: &impl Opener,
) -> Result<(), DialogueError> {
    let device = DeviceControl::new(accessory.device(channel));
    let mut dialogue = Dialogue { accessory, channel, device, consent: None, queue: VecDeque::new() };
    let ended = dialogue.run(&mut wire, opener).await;
    // The host reads the last answer before the end.
    wire.close().await;
    ended
}

struct Dialogue<'a> {
    accessory: &'a Accessory,
    channel: Channel,
    device: DeviceControl,
    /// When the user answers.
    consent: Option<Instant>,
    queue: VecDeque<DeviceEvent>,
}

impl Dialogue<'_> {
    async fn run(&mut self, wire: &mut impl Wire, opener: &impl Opener) -> Result<(), DialogueError> {
        loop {
            let event = match self.queue.pop_front() {
                Some(event) => event,
                None => match self.wait(wire).await? {
                    Some(event) => event,
                    None => return Ok(()),
                },
            };
            let mut actions = self.device.on(self.accessory.now(), event, &mut random())?;
            // A host is kept before it hears of it: it may be back at once on another connection.
            actions.sort_by_key(|action| !matches!(action, DeviceAction::Paired { .. }));
            for action in actions {
                if !self.act(action, wire, opener).await? {
                    return Ok(());
                }
            }
        }
    }

    async fn wait(&mut self, wire: &mut impl Wire) -> Result<Option<DeviceEvent>, DialogueError> {
        let (at, due) = (self.consent.unwrap_or_else(Instant::now), self.consent.is_some());
        tokio::select! {
            message = wire.next() => {
                let Some(envelope) = message? else { return Ok(None) };
                self.admit(&envelope)?;
                Ok(Some(DeviceEvent::Message(envelope)))
            }
            () = sleep_until(at), if due => {
                self.consent = None;
                Ok(Some(DeviceEvent::Consent(self.accessory.consent().1)))
            }
        }
    }

    /// Over a network only paired hosts are known to come. Source: protocol.md §2.
    fn admit(&self, envelope: &Envelope) -> Result<(), NotSourced> {
        match &envelope.message {
            ControlMessage::Plain(Body::Event(Event::PairingData(data)))
                if self.channel == Channel::Network && data.kind == PairingKind::Setup =>
            {
                Err(PAIR_SETUP_OVER_NETWORK)
            }
            _ => Ok(()),
        }
    }

    /// Whether the channel goes on.
    async fn act(
        &mut self,
        action: DeviceAction,
        wire: &mut impl Wire,
        opener: &impl Opener,
    ) -> Result<bool, DialogueError> {
        match action {
            DeviceAction::Send(envelope) => wire.send(&envelope).await?,
            DeviceAction::AskUser { host } => {
                tracing::info!(host, "the user is asked whether to trust a host");
                self.consent = Some(Instant::now() + self.accessory.consent().0);
            }
            DeviceAction::ShowPin => tracing::info!("the PIN of the pair policy is shown"),
            DeviceAction::SetupFailed(error) => tracing::info!(%error, "a pair-setup failed"),
            DeviceAction::Paired { host, form } => {
                tracing::debug!(?form, "operand form of the host's proof");
                self.accessory.remember(&host)?;
            }
            DeviceAction::Verified { host } => tracing::info!(host, "verified"),
            DeviceAction::OpenListener(request) => {
                let listening = opener.open(request).await?;
                self.queue.push_back(DeviceEvent::Listening(Ok(listening)));
            }
            DeviceAction::Close => return Ok(false),
        }
        Ok(true)
    }
}
