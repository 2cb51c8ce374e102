//! createListener: the host asks the device to listen for a tunnel.
//!
//! Source: protocol.md §5.7.

use zeroize::Zeroizing;

/// The name of the process that owns the tunnel, as Apple's host sends it. Source: protocol.md §5.7.
pub const OWNING_PROCESS: &str = "CoreDeviceService";
/// Length of a TLS pre-shared key, in bytes. Source: protocol.md §5.7.
pub const PSK_LEN: usize = 32;

/// How the tunnel will travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// TCP with TLS 1.2 PSK; the only one from iOS 18.2 on.
    Tcp,
    /// QUIC datagrams, iOS 17.0 to 18.1.
    Quic,
    /// In the vocabulary, never seen in use.
    Udp,
}

impl Transport {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Quic => "quic",
            Self::Udp => "udp",
        }
    }

    /// The transport of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Tcp, Self::Quic, Self::Udp].into_iter().find(|transport| transport.name() == name)
    }
}

/// Who will use the tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerConnection {
    /// The process id on the host.
    pub owning_pid: u64,
    /// The process name, see [`OWNING_PROCESS`].
    pub owning_process_name: String,
}

/// The request.
#[derive(Clone, PartialEq, Eq)]
pub struct CreateListener {
    /// For TCP the pre-shared key, for QUIC the host's RSA public key as DER SubjectPublicKeyInfo.
    pub key: Zeroizing<Vec<u8>>,
    /// How the tunnel will travel.
    pub transport: Transport,
    /// Who will use it; our host always says.
    pub peer_connections: Vec<PeerConnection>,
}

impl std::fmt::Debug for CreateListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreateListener")
            .field("key_len", &self.key.len())
            .field("transport", &self.transport)
            .field("peer_connections", &self.peer_connections)
            .finish()
    }
}

/// The device's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerAnswer {
    /// Where the device listens, on the address of the control connection.
    pub port: u16,
    /// The device's public key as DER SubjectPublicKeyInfo; our device always says it (frida insists on it).
    pub device_public_key: Option<Vec<u8>>,
    /// A service name, if the device has one.
    pub service_name: Option<String>,
}

/// The DER SubjectPublicKeyInfo of an Ed25519 key. Source: RFC 8410 §4.
pub fn ed25519_public_key_info(key: &[u8; 32]) -> Vec<u8> {
    let mut der = vec![0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    der.extend_from_slice(key);
    der
}
