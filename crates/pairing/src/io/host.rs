//! The host's dialogue on a connection: verify or pair, then listeners.

use std::collections::VecDeque;
use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use zeroize::Zeroizing;

use super::random;
use super::wire::{Wire, WireError};
use crate::control::host::{
    HostAction, HostConfig, HostControl, HostEvent, ListenerWish, PeerProof, Psk, WishedTransport,
};
use crate::error::ControlError;
use crate::listener::ListenerAnswer;
use crate::message::HandshakeResponse;
use crate::record::PairRecord;
use crate::srp::OperandForm;
use crate::store::{Store, StoreError};

/// Why there is no pairing or no listener.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// The dialogue stopped.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The connection carries no more messages.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The record can't be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The device closed after a pair-setup, as some do.
    #[error("the device closed the connection after the pairing, as some do: connect again with the record")]
    Reconnect,
    /// The device shows a PIN and nobody types it.
    #[error("the device shows a PIN that nobody typed: pair where somebody can")]
    NoPin,
}

/// The people and the records on this side.
pub trait Front: Send {
    /// Keeps a record, before the dialogue goes on.
    ///
    /// # Errors
    /// [`StoreError`]; the dialogue ends.
    fn save(&mut self, record: &PairRecord) -> Result<(), StoreError>;

    /// The device asks its user: tell people to tap Trust on it.
    fn awaiting_consent(&mut self) {}

    /// The PIN that the device shows; `None` when nobody types it.
    fn pin(&mut self) -> impl Future<Output = Option<Zeroizing<String>>> + Send {
        async { None }
    }
}

/// Records are kept, and nobody is asked.
impl Front for Store {
    fn save(&mut self, record: &PairRecord) -> Result<(), StoreError> {
        Store::save(self, record)
    }
}

/// What was learnt before the first listener.
#[derive(Debug, Clone, Default)]
pub struct Welcome {
    /// What the device says about itself.
    pub device: Option<HandshakeResponse>,
    /// How the device proved itself, when pair-verify succeeded.
    pub proof: Option<PeerProof>,
    /// Whether a pair-setup was done.
    pub paired: bool,
    /// The form of the SRP operands, if it mattered.
    pub form: Option<OperandForm>,
    /// The record that was kept last.
    pub record: Option<PairRecord>,
}

/// How a connection begins.
#[derive(Debug)]
pub enum Start<W> {
    /// Listeners can be asked for.
    Ready(Host<W>, Box<Welcome>),
    /// The device closed after the pair-setup, as some do: connect again with the record.
    Reconnect(Box<Welcome>),
}

/// A control channel on which listeners can be asked for.
#[derive(Debug)]
pub struct Host<W> {
    wire: W,
    control: Box<HostControl>,
    epoch: Instant,
}

/// What a run of the dialogue ended with.
enum Reached {
    Ready,
    Reconnect,
    Listener(ListenerAnswer, Option<Psk>),
}

impl<W: Wire> Host<W> {
    /// Verifies with the record of `config`, else pairs.
    ///
    /// # Errors
    /// [`HostError`]; the connection is over.
    pub async fn start(wire: W, config: HostConfig, front: &mut impl Front) -> Result<Start<W>, HostError> {
        let mut host = Self { wire, control: Box::new(HostControl::new(config)), epoch: Instant::now() };
        let mut welcome = Welcome::default();
        match host.run(HostEvent::Start, front, &mut welcome).await? {
            Reached::Reconnect => Ok(Start::Reconnect(Box::new(welcome))),
            _ => Ok(Start::Ready(host, Box::new(welcome))),
        }
    }

    /// Asks for a listener; for TCP with the pre-shared key of its tunnel.
    ///
    /// # Errors
    /// [`HostError`]; the connection is over. After a pair-setup it may be [`HostError::Reconnect`].
    pub async fn listener(
        &mut self,
        transport: WishedTransport,
    ) -> Result<(ListenerAnswer, Option<Psk>), HostError> {
        let wish = ListenerWish { transport, owning_pid: u64::from(std::process::id()) };
        let reached = self.run(HostEvent::OpenListener(wish), &mut Nobody, &mut Welcome::default()).await?;
        match reached {
            Reached::Listener(answer, psk) => Ok((answer, psk)),
            _ => Err(HostError::Reconnect),
        }
    }

    /// Ends the connection; tunnels live on.
    pub async fn close(self) {
        self.wire.close().await;
    }

    async fn run(
        &mut self,
        first: HostEvent,
        front: &mut impl Front,
        welcome: &mut Welcome,
    ) -> Result<Reached, HostError> {
        let mut queue = VecDeque::from([first]);
        let mut lost = None;
        loop {
            let event = match queue.pop_front() {
                Some(event) => event,
                // A device that closes does not always do it nicely.
                None => self.wait().await.unwrap_or_else(|error| {
                    lost = Some(error);
                    HostEvent::Closed
                }),
            };
            let actions = self.control.on(self.epoch.elapsed(), event, &mut random());
            for action in actions.map_err(|error| lost.take().map_or(error.into(), HostError::Wire))? {
                match self.act(action, front, welcome, &mut queue).await {
                    Ok(None) => {}
                    Ok(Some(reached)) => return Ok(reached),
                    Err(HostError::Wire(error)) => {
                        lost = Some(error);
                        queue = VecDeque::from([HostEvent::Closed]);
                        break;
                    }
                    Err(error) => return Err(error),
                }
            }
        }
    }

    async fn wait(&mut self) -> Result<HostEvent, WireError> {
        let due = self.control.deadline();
        let at = self.epoch.checked_add(due.unwrap_or(Duration::ZERO)).unwrap_or(self.epoch);
        tokio::select! {
            message = self.wire.next() => Ok(message?.map_or(HostEvent::Closed, HostEvent::Message)),
            () = sleep_until(at), if due.is_some() => Ok(HostEvent::Tick),
        }
    }

    async fn act(
        &mut self,
        action: HostAction,
        front: &mut impl Front,
        welcome: &mut Welcome,
        queue: &mut VecDeque<HostEvent>,
    ) -> Result<Option<Reached>, HostError> {
        match action {
            HostAction::Send(envelope) => self.wire.send(&envelope).await?,
            HostAction::Device(device) => welcome.device = Some(*device),
            HostAction::AwaitingConsent => front.awaiting_consent(),
            HostAction::NeedPin => {
                queue.push_back(HostEvent::Pin(front.pin().await.ok_or(HostError::NoPin)?));
            }
            HostAction::Verified(proof) => welcome.proof = Some(proof),
            HostAction::Paired(form) => (welcome.paired, welcome.form) = (true, form),
            HostAction::Save(record) => {
                front.save(&record)?;
                welcome.record = Some(*record);
            }
            HostAction::Ready => return Ok(Some(Reached::Ready)),
            HostAction::Reconnect => return Ok(Some(Reached::Reconnect)),
            HostAction::Listener { answer, psk } => return Ok(Some(Reached::Listener(answer, psk))),
        }
        Ok(None)
    }
}

/// Once listeners can be asked for, nobody is asked anything and no record changes.
struct Nobody;

impl Front for Nobody {
    fn save(&mut self, _: &PairRecord) -> Result<(), StoreError> {
        Ok(())
    }
}
