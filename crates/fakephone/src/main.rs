//! The simulated iPhone as a program: arguments, output and exit codes.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use iosmux_fakephone::IosVersion;
use iosmux_fakephone::accessory::{PairPolicy, PairingConfig};
use iosmux_fakephone::fault::Fault;
use iosmux_fakephone::net::{self, Phone, PhoneConfig};
use iosmux_tunnel::io::TunError;
use iosmux_xpc::rsd::{Catalogue, CatalogueError};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// A simulated iPhone for tests and demos.
#[derive(Debug, Parser)]
#[command(name = "fakephone", version)]
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
}

#[derive(Debug, Args)]
struct NetArgs {
    /// The netdev to be on; it may come and go.
    #[arg(long, value_name = "IF")]
    interface: String,
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
    /// How to misbehave: silent, reset-after-settings, slow:MS, garbage-handshake, oversize-frame, zero-uuid,
    /// close-after-pairing, no-announce, hang:rsd, hang:pair, hang:listener, hang:tunnel, hang:catalogue.
    #[arg(long = "fault", value_name = "NAME")]
    faults: Vec<Fault>,
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
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl Error {
    /// Source: architecture.md (exit codes everywhere).
    fn exit_code(&self) -> u8 {
        let source = match self {
            Error::Read { source, .. } | Error::Io(source) => source,
            Error::Phone(net::Error::Listen(error)) => &error.source,
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
    let Face::Net(args) = Cli::parse().face;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = io::stderr().is_terminal();
    tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(colours).with_env_filter(filter).init();
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to say it to when stderr is closed.
            let _ = writeln!(io::stderr(), "fakephone: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(args: NetArgs) -> Result<(), Error> {
    let untrusted_catalogue = args.untrusted_catalogue.as_deref().map(catalogue).transpose()?;
    let config = PhoneConfig {
        untrusted_catalogue,
        ios: args.ios,
        udid: args.udid,
        faults: args.faults,
        pairing: PairingConfig {
            policy: args.pair_policy,
            state_dir: args.state_dir,
            ..PairingConfig::default()
        },
        ..PhoneConfig::new(args.interface, catalogue(&args.catalogue)?)
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(config))
}

fn catalogue(path: &Path) -> Result<Catalogue, Error> {
    let text = fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let json =
        serde_json::from_slice(&text).map_err(|source| Error::Json { path: path.to_owned(), source })?;
    Catalogue::from_json(&json).map_err(|source| Error::Catalogue { path: path.to_owned(), source })
}

async fn serve(config: PhoneConfig) -> Result<(), Error> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut asked = std::pin::pin!(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    });
    let phone = tokio::select! {
        phone = Phone::start(config) => phone?,
        () = &mut asked => return Ok(()),
    };
    if let Some(ready) = phone.ready() {
        let mut line = serde_json::to_string(&ready).map_err(io::Error::from)?;
        line.push('\n');
        io::stdout().write_all(line.as_bytes())?;
        io::stdout().flush()?;
    }
    Ok(phone.run(asked).await?)
}
