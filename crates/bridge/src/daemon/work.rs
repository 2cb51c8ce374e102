//! Carrying work out. Every piece has [`LONGEST`].

use std::sync::Arc;

use tokio::task::{AbortHandle, JoinError};

use super::Ports;
use super::attachment::{Driver, What};
use crate::phone::{Event, Failure, Outcome, Work};
use crate::ports::{Address, LONGEST, LinkControl, UsbDevice, UsbHost, UserspaceNcm};

/// What work needs of its phone.
pub(super) struct Means<D> {
    pub(super) address: Option<Address>,
    pub(super) device: Option<Arc<D>>,
    /// Taken for [`Work::StopUserspace`] only.
    pub(super) driver: Option<Driver>,
}

/// Carries it out in a task of its own, and tells how it ended. Aborting the task abandons it: then nothing is told.
pub(super) fn spawn<U, L, N>(
    ports: Arc<Ports<U, L, N>>,
    means: Means<U::Device>,
    work: Work,
    tell: impl FnOnce(What<U::Device, N::Running>) + Send + 'static,
) -> AbortHandle
where
    U: UsbHost,
    L: LinkControl,
    N: UserspaceNcm<Device = U::Device>,
{
    let task = tokio::spawn(carry_out(ports, means, work));
    let handle = task.abort_handle();
    tokio::spawn(async move {
        match task.await {
            Ok(what) => tell(what),
            Err(error) if error.is_panic() => tell(What::Event(Event::Failed(bug(&error)))),
            Err(_) => {}
        }
    });
    handle
}

fn bug(error: &JoinError) -> Failure {
    Failure::Other(format!("this is a bug of iosmux-bridge, open an issue with its log: {error}"))
}

/// How it failed is an event as well. [`Work::Look`] is the actor's own.
async fn carry_out<U, L, N>(
    ports: Arc<Ports<U, L, N>>,
    means: Means<U::Device>,
    work: Work,
) -> What<U::Device, N::Running>
where
    U: UsbHost,
    L: LinkControl,
    N: UserspaceNcm<Device = U::Device>,
{
    let result = match tokio::time::timeout(LONGEST, attempt(&ports, means, work)).await {
        Ok(result) => result,
        Err(_) => Err(Failure::Late),
    };
    result.unwrap_or_else(|failure| What::Event(Event::Failed(failure)))
}

async fn attempt<U, L, N>(
    ports: &Ports<U, L, N>,
    means: Means<U::Device>,
    work: Work,
) -> Result<What<U::Device, N::Running>, Failure>
where
    U: UsbHost,
    L: LinkControl,
    N: UserspaceNcm<Device = U::Device>,
{
    let device = || means.device.clone().ok_or(Failure::Gone);
    let address = || means.address.clone().ok_or(Failure::Gone);
    let outcome = match work {
        Work::Look => return Err(Failure::Gone),
        Work::Open => return Ok(What::Opened(ports.usb.open(&address()?).await?)),
        Work::GetMode => Outcome::Mode(device()?.get_mode().await?),
        Work::SetMode(mode) => Outcome::ModeSet(device()?.set_mode(mode).await?),
        Work::SetConfiguration(value) => {
            device()?.set_configuration(value).await?;
            Outcome::ConfigurationSet
        }
        Work::FindMeddlers => Outcome::Meddlers(ports.usb.meddlers(&address()?).await),
        Work::StartUserspace(function) => {
            return Ok(What::Started(ports.ncm.start(&*device()?, function).await?));
        }
        Work::StopUserspace => {
            if let Some(driver) = means.driver {
                driver.stop().await;
            }
            Outcome::UserspaceStopped
        }
        Work::Attach { port, bridge, isolated } => {
            ports.links.attach(port, bridge, isolated).await?;
            Outcome::Attached
        }
        Work::Detach { port } => {
            ports.links.detach(port).await?;
            Outcome::Detached
        }
        Work::Inspect => Outcome::Inspected(ports.links.dropped().await),
    };
    Ok(What::Event(Event::Done(outcome)))
}
