//! The simulated iPhone as a program: arguments, output and exit codes.

use std::fs;
use std::io::{self, BufRead as _, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use iosmux_fakephone::IosVersion;
use iosmux_fakephone::accessory::{PairPolicy, PairingConfig};
use iosmux_fakephone::fault::Fault;
use iosmux_fakephone::net::{self, Phone, PhoneConfig};
use iosmux_fakephone::usb::{
    FaultOfEitherFace, Hand, UsbFault, UsbPhone, UsbPhoneConfig, UsbPhoneError, VhciError,
};
use iosmux_tunnel::io::TunError;
use iosmux_usb::Mode;
use iosmux_xpc::rsd::{Catalogue, CatalogueError};
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tracing_subscriber::EnvFilter;

/// A simulated iPhone for tests and demos.
#[derive(Debug, Parser)]
#[command(name = "iosmux-fakephone", version)]
struct Cli {
    #[command(subcommand)]
    face: Face,
}

#[derive(Debug, Subcommand)]
enum Face {
    /// An iPhone on a netdev: announces itself, answers RSD and its services.
    ///
    /// Prints one JSON line when it is attached, logs on stderr (RUST_LOG), says goodbye on SIGTERM and SIGINT.
    Net(NetArgs),
    /// An iPhone on a cable: a USB device for this computer's kernel, and the network face behind its private NCM function.
    ///
    /// Prints a JSON line whenever it is plugged, unplugged, configured or opened, logs on stderr (RUST_LOG), leaves on SIGTERM and SIGINT. Reads lines
    /// from stdin: unplug, plug, reboot (2 s away), suspend (its host was suspended: back in mode 1). Needs root.
    Usb(UsbArgs),
}

#[derive(Debug, Args)]
struct NetArgs {
    /// The netdev to be on; it may come and go.
    #[arg(long, value_name = "IF")]
    interface: String,
    #[command(flatten)]
    phone: PhoneArgs,
    /// How to misbehave: silent, reset-after-settings, slow:MS, garbage-handshake, oversize-frame, zero-uuid,
    /// close-after-pairing, no-announce, hang:rsd, hang:pair, hang:listener, hang:tunnel, hang:catalogue, locked:N.
    #[arg(long = "fault", value_name = "NAME")]
    faults: Vec<Fault>,
}

#[derive(Debug, Args)]
struct UsbArgs {
    /// Plugs into the kernel's virtual host controller (module vhci-hcd): the only place there is.
    #[arg(long, required = true)]
    vhci: bool,
    #[command(flatten)]
    phone: PhoneArgs,
    /// The mode that it has at first and after each replug: 1 or 3.
    #[arg(long, value_name = "N", default_value = "1", value_parser = mode)]
    mode: Mode,
    /// How long it is away when it changes its mode, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 300)]
    reenumerate_ms: u64,
    /// How to misbehave: refuse-mode[:stall], slow-reenumeration:SECONDS, vanish:FRAMES, wrong-descriptors[:mac|:no-private],
    /// long-strings, stall, stay, forget-mode[:configured], suspend:SECONDS, mode-drift, mute[:configured|:FRAMES]; and every
    /// fault of `net`.
    #[arg(long = "fault", value_name = "NAME")]
    faults: Vec<FaultOfEitherFace>,
}

/// Who the phone is, on either face.
#[derive(Debug, Args)]
struct PhoneArgs {
    /// A captured Handshake: who the phone is and what it offers.
    #[arg(long, value_name = "FILE.json")]
    catalogue: PathBuf,
    /// A captured Handshake whose services alone are offered on the link.
    #[arg(long, value_name = "FILE.json")]
    untrusted_catalogue: Option<PathBuf>,
    /// Rewrites the iOS version and marks the phone as derived.
    #[arg(long, value_name = "VERSION")]
    ios: Option<IosVersion>,
    /// Rewrites the UDID and marks the phone as derived.
    #[arg(long)]
    udid: Option<String>,
    /// What its user does when a host wants to pair: accept, reject, pin:NNNNNN (shows a PIN), backoff:SECONDS.
    #[arg(long, value_name = "POLICY", default_value = "accept")]
    pair_policy: PairPolicy,
    /// Keeps its long-term identity and the hosts that it paired with; without it both are new at every start.
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{path} can't be read: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} is no JSON: {source}")]
    Json { path: PathBuf, source: serde_json::Error },
    #[error("{path}: {source}")]
    Catalogue { path: PathBuf, source: CatalogueError },
    #[error(transparent)]
    Phone(#[from] net::Error),
    #[error(transparent)]
    Usb(#[from] UsbPhoneError),
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl Error {
    /// Source: architecture.md (exit codes everywhere).
    fn exit_code(&self) -> u8 {
        let source = match self {
            Error::Read { source, .. } | Error::Io(source) => source,
            Error::Phone(net::Error::Listen(error))
            | Error::Usb(UsbPhoneError::Net(net::Error::Listen(error))) => &error.source,
            Error::Usb(UsbPhoneError::Vhci(VhciError::Missing)) => return 6,
            Error::Usb(UsbPhoneError::Vhci(VhciError::Refused { source, .. })) => source,
            Error::Usb(UsbPhoneError::Tap(error)) if error.source.kind() == io::ErrorKind::NotFound => {
                return 6;
            }
            Error::Usb(UsbPhoneError::Tap(error)) => &error.source,
            // Nothing but the kernel's module is missing then.
            Error::Phone(net::Error::Tun(TunError::Open { source }))
                if source.kind() == io::ErrorKind::NotFound =>
            {
                return 6;
            }
            Error::Phone(net::Error::Tun(TunError::Open { source } | TunError::Configure { source, .. })) => {
                source
            }
            _ => return 1,
        };
        match source.kind() {
            io::ErrorKind::PermissionDenied => 4,
            io::ErrorKind::Unsupported => 6,
            _ => 1,
        }
    }
}

fn main() -> ExitCode {
    let face = Cli::parse().face;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = io::stderr().is_terminal();
    tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(colours).with_env_filter(filter).init();
    match run(face) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to say it to when stderr is closed.
            let _ = writeln!(io::stderr(), "fakephone: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(face: Face) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match face {
        Face::Net(args) => {
            let config = args.phone.config(args.interface, args.faults)?;
            runtime.block_on(serve_net(config))
        }
        Face::Usb(args) => {
            let config = args.config()?;
            runtime.block_on(serve_usb(config))
        }
    }
}

impl PhoneArgs {
    fn config(self, interface: String, faults: Vec<Fault>) -> Result<PhoneConfig, Error> {
        let untrusted_catalogue = self.untrusted_catalogue.as_deref().map(catalogue).transpose()?;
        Ok(PhoneConfig {
            untrusted_catalogue,
            ios: self.ios,
            udid: self.udid,
            faults,
            pairing: PairingConfig {
                policy: self.pair_policy,
                state_dir: self.state_dir,
                ..PairingConfig::default()
            },
            ..PhoneConfig::new(interface, catalogue(&self.catalogue)?)
        })
    }
}

impl UsbArgs {
    fn config(self) -> Result<UsbPhoneConfig, Error> {
        let (mut network, mut usb): (Vec<Fault>, Vec<UsbFault>) = (Vec::new(), Vec::new());
        for fault in self.faults {
            match fault {
                FaultOfEitherFace::Net(fault) => network.push(fault),
                FaultOfEitherFace::Usb(fault) => usb.push(fault),
            }
        }
        Ok(UsbPhoneConfig {
            mode: self.mode,
            reenumeration: Duration::from_millis(self.reenumerate_ms),
            faults: usb,
            // Its interface is its own.
            ..UsbPhoneConfig::new(self.phone.config(String::new(), network)?)
        })
    }
}

fn mode(text: &str) -> Result<Mode, String> {
    match text.parse().ok().and_then(Mode::from_number) {
        Some(mode @ (Mode::Initial | Mode::Ncm)) => Ok(mode),
        _ => Err("1 or 3 was expected: what phones have in other modes is not known".to_owned()),
    }
}

fn catalogue(path: &Path) -> Result<Catalogue, Error> {
    let text = fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let json =
        serde_json::from_slice(&text).map_err(|source| Error::Json { path: path.to_owned(), source })?;
    Catalogue::from_json(&json).map_err(|source| Error::Catalogue { path: path.to_owned(), source })
}

/// Ready when the program is asked to end.
fn asked() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// One JSON line.
fn print(value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_string(value).map_err(io::Error::from)?;
    line.push('\n');
    io::stdout().write_all(line.as_bytes())?;
    io::stdout().flush()
}

async fn serve_net(config: PhoneConfig) -> Result<(), Error> {
    let mut asked = std::pin::pin!(asked()?);
    let phone = tokio::select! {
        phone = Phone::start(config) => phone?,
        () = &mut asked => return Ok(()),
    };
    if let Some(ready) = phone.ready() {
        print(&ready)?;
    }
    Ok(phone.run(asked).await?)
}

async fn serve_usb(config: UsbPhoneConfig) -> Result<(), Error> {
    let mut asked = std::pin::pin!(asked()?);
    let mut phone = UsbPhone::start(config).await?;
    let mut state = phone.state();
    let mut hands = hands();
    loop {
        print(&*state.borrow_and_update())?;
        tokio::select! {
            () = &mut asked => return Ok(()),
            ended = phone.ended() => return Ok(ended?),
            // It ends with the phone, which tells why.
            _ = state.changed() => {}
            Some(hand) = hands.recv() => phone.order(hand).await?,
        }
    }
}

/// The lines of stdin. The thread waits for the next one as long as the program runs.
fn hands() -> mpsc::Receiver<Hand> {
    let (told, hands) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            match line.trim().parse::<Hand>() {
                Ok(hand) if told.blocking_send(hand).is_err() => return,
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "a line of stdin is ignored"),
            }
        }
    });
    hands
}
