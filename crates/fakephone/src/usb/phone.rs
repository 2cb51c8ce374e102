//! A phone on a cable, all of it: the device behind USB/IP on a thread of its own; its interface, and the network face on that,
//! in a network namespace of its own.

use std::future::{Future, pending};
use std::io;
use std::thread;
use std::time::Duration;

use iosmux_lab::Namespace;
use iosmux_usb::{Mode, Udid};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::cord::Cord;
use super::desk::Desk;
use super::device::{Device, DeviceConfig};
use super::error::UsbPhoneError;
use super::fault::UsbFault;
use super::hand::{Hand, Order};
use super::state::UsbState;
use super::tap::{self, Interface, Socket, Tap};
use crate::identity::{Identity, Overrides};
use crate::net::{Phone, PhoneConfig};
use crate::not_sourced::Gaps;

/// What a phone is, on both faces.
#[derive(Debug, Clone)]
pub struct UsbPhoneConfig {
    /// Identity, services, pairing and faults of the network face; its interface is the phone's own whatever it says.
    pub net: PhoneConfig,
    /// The mode that it has at first, and after each replug: 1 or 3.
    pub mode: Mode,
    /// How long it is away when it changes its mode.
    pub reenumeration: Duration,
    /// How it misbehaves on USB.
    pub faults: Vec<UsbFault>,
}

impl UsbPhoneConfig {
    /// The phone of a catalogue, in mode 1 and without faults on USB.
    #[must_use]
    pub fn new(net: PhoneConfig) -> UsbPhoneConfig {
        UsbPhoneConfig {
            net,
            mode: Mode::Initial,
            reenumeration: Duration::from_millis(300),
            faults: Vec::new(),
        }
    }

    fn device(&self) -> Result<DeviceConfig, UsbPhoneError> {
        let overrides = Overrides { udid: self.net.udid.clone(), ..Overrides::default() };
        let identity = Identity::new(&self.net.catalogue, None, &overrides)?;
        let udid: Udid = identity.udid.parse()?;
        Ok(DeviceConfig {
            mode: self.mode,
            reenumeration: self.reenumeration,
            faults: self.faults.clone(),
            ..DeviceConfig::new(udid)
        })
    }
}

/// A running phone. Dropped, it is gone at once: off the bus and off the air.
#[derive(Debug)]
pub struct UsbPhone {
    orders: mpsc::Sender<Order>,
    state: watch::Receiver<UsbState>,
    gaps: Gaps,
    cord: Cord,
    task: AbortOnDrop,
}

impl Drop for UsbPhone {
    fn drop(&mut self) {
        self.cord.pull();
    }
}

#[derive(Debug)]
struct AbortOnDrop(JoinHandle<Result<(), UsbPhoneError>>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl UsbPhone {
    /// Starts a phone and plugs it in. Needs root, vhci-hcd and /dev/net/tun.
    ///
    /// # Errors
    /// [`UsbPhoneError`].
    pub async fn start(config: UsbPhoneConfig) -> Result<UsbPhone, UsbPhoneError> {
        let phone = UsbPhone::start_unplugged(config).await?;
        phone.plug().await?;
        Ok(phone)
    }

    /// Starts a phone whose cable is not in yet.
    ///
    /// # Errors
    /// [`UsbPhoneError`].
    pub async fn start_unplugged(config: UsbPhoneConfig) -> Result<UsbPhone, UsbPhoneError> {
        let gaps = Gaps::default();
        let cord = Cord::default();
        let device = Device::new(config.device()?).with_gaps(gaps.clone());
        let namespace = Namespace::new("phone").await?;
        let (told, state) = watch::channel(UsbState::of(&device, false, None));
        let (orders, queue) = mpsc::channel(4);
        let net = PhoneConfig { interface: tap::NAME.to_owned(), ..config.net };
        let (carrier, socket) = tap::carrier();
        let mac = device.config().private_mac.of_phone();
        let (interface, file) = namespace.run(move || Interface::open(mac)).await??;
        let its_cord = cord.clone();
        let usb = on_thread(move || async move {
            Desk::new(device, Tap::new(file)?, carrier, its_cord, told).run(queue).await
        })?;
        let task = tokio::spawn(async move {
            let link = namespace.run(move || net_face(interface, socket, net));
            tokio::select! {
                ended = usb => ended,
                ended = link => ended?,
            }
        });
        Ok(UsbPhone { orders, state, gaps, cord, task: AbortOnDrop(task) })
    }

    /// Puts the cable in.
    ///
    /// # Errors
    /// When the host has no place for it.
    pub async fn plug(&self) -> Result<(), UsbPhoneError> {
        self.order(Hand::Plug).await
    }

    /// Pulls the cable.
    ///
    /// # Errors
    /// When the phone has ended.
    pub async fn unplug(&self) -> Result<(), UsbPhoneError> {
        self.order(Hand::Unplug).await
    }

    /// Does something to it; a restart and a suspend go on when this returns.
    ///
    /// # Errors
    /// When the host has no place for it, or the phone has ended.
    pub async fn order(&self, hand: Hand) -> Result<(), UsbPhoneError> {
        let (done, result) = oneshot::channel();
        self.orders.send((hand, done)).await.map_err(|_| UsbPhoneError::Ended)?;
        result.await.unwrap_or(Err(UsbPhoneError::Ended))
    }

    /// Where it is, and every change of that.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<UsbState> {
        self.state.clone()
    }

    /// The gaps that USB met; those of the network face are logged.
    #[must_use]
    pub fn gaps(&self) -> &Gaps {
        &self.gaps
    }

    /// Waits until something ends it.
    ///
    /// # Errors
    /// What ended it.
    pub async fn ended(&mut self) -> Result<(), UsbPhoneError> {
        match (&mut self.task.0).await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(UsbPhoneError::Ended),
            },
        }
    }
}

/// The network face on its interface.
async fn net_face(interface: Interface, socket: Socket, net: PhoneConfig) -> Result<(), UsbPhoneError> {
    let face = async move { Phone::start(net).await?.run(pending()).await };
    tokio::select! {
        ended = face => Ok(ended?),
        ended = interface.follow(socket) => Ok(ended?),
    }
}

/// Runs a future on a thread of its own, until it ends or nobody waits for it any more.
fn on_thread<F, Fut>(job: F) -> io::Result<impl Future<Output = Result<(), UsbPhoneError>>>
where
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future<Output = Result<(), UsbPhoneError>>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut done, result) = oneshot::channel();
    let body = move || {
        let ended = runtime.block_on(async {
            tokio::select! {
                ended = job() => Some(ended),
                () = done.closed() => None,
            }
        });
        if let Some(ended) = ended {
            // Whoever waited may be gone by now.
            let _ = done.send(ended);
        }
    };
    thread::Builder::new().name("phone-usb".to_owned()).spawn(body)?;
    Ok(async { result.await.unwrap_or(Err(UsbPhoneError::Ended)) })
}
