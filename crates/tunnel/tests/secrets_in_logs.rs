//! No key in the logs, at any level, of any crate under the tunnel.

mod support;

use iosmux_tunnel::io::{Options, QuicIdentity, QuicListener, Suite, Tunnel, channel, connect_quic};
use std::io::Write;
use std::sync::{Arc, Mutex};
use support::{offer, tcp_links, to_device};
use tracing_subscriber::fmt::MakeWriter;

/// Everything that was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Log {
    /// Finds `secret` as bytes, as hexadecimal digits and as a list of numbers; a part of it will do.
    fn betrays(&self, secret: &[u8]) -> bool {
        let log = self.0.lock().unwrap();
        let (lower, part) = (String::from_utf8_lossy(&log).to_lowercase(), &secret[..8]);
        let hex: String = part.iter().map(|byte| format!("{byte:02x}")).collect();
        let list = |separator: &str| part.iter().map(u8::to_string).collect::<Vec<_>>().join(separator);
        log.windows(part.len()).any(|window| window == part)
            || [hex, list(", "), list(",")].iter().any(|text| lower.contains(text))
    }
}

#[test]
fn no_key_is_logged() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(log.clone());
    // For the whole process: tunnels have threads of their own. This test has its program for itself.
    tracing::subscriber::set_global_default(subscriber.finish()).unwrap();
    let key: Vec<u8> = (0..32).map(|at| at * 4 + 101).collect();
    let wrong: Vec<u8> = (0..32).map(|at| at * 5 + 90).collect();
    let private = openssl::rsa::Rsa::generate(2048).and_then(openssl::pkey::PKey::from_rsa).unwrap();
    let exponent = private.rsa().unwrap().d().to_vec();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let (host, device) = tcp_links((&key, &Suite::HOST), (&key, &Suite::DEVICE)).await;
        tracing::trace!(?host, ?device, "both ends as they show themselves");
        relay(host.unwrap(), device.unwrap()).await;
        let (host, device) = tcp_links((&wrong, &Suite::HOST), (&key, &Suite::DEVICE)).await;
        tracing::trace!(host = ?host.unwrap_err(), device = ?device.unwrap_err(), "a wrong key");
        let identity = QuicIdentity::from_private_key(&private.private_key_to_pkcs8().unwrap()).unwrap();
        let listener = QuicListener::bind("[::1]:0".parse().unwrap(), &identity, None).unwrap();
        let (address, offer) = (listener.local_addr().unwrap(), offer(1400));
        let (host, device) =
            tokio::join!(connect_quic(address, &identity, None, 1400), listener.accept(&offer));
        tracing::trace!(?host, ?device, ?identity, "both ends as they show themselves");
        relay(host.unwrap(), device.unwrap()).await;
    });
    assert!(!log.betrays(&key) && !log.betrays(&wrong) && !log.betrays(&exponent));
    // The search itself works, and there was something to search.
    tracing::trace!(?key, "shown on purpose");
    assert!(log.betrays(&key));
    let text = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(text.contains("quinn") && text.contains("a tunnel ended"), "{text}");
}

/// One packet through both ends.
async fn relay(host: iosmux_tunnel::io::TunnelLink, device: iosmux_tunnel::io::TunnelLink) {
    let parameters = *host.parameters();
    let ((host_device, host_end), (phone_device, mut phone_end)) = (channel(10), channel(10));
    let host = Tunnel::run(host, host_device, Options::default()).unwrap();
    let phone = Tunnel::run(device, phone_device, Options::default()).unwrap();
    assert!(host_end.send(to_device(&parameters, 100, 1)).await);
    assert_eq!(phone_end.recv().await.unwrap(), to_device(&parameters, 100, 1));
    host.stop().await.unwrap();
    phone.stop().await.unwrap();
}
