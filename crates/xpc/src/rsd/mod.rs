//! RSD, the remote service discovery: who a device is and on which port each of its services listens.
//!
//! After the connection's opening each side sends one Handshake; a device's holds its [`Catalogue`]. Source: protocol.md §4.1.

mod catalogue;
mod error;
mod handshake;
#[cfg(feature = "io")]
pub mod io;
mod message;
mod parse;
mod service;
mod source;
mod view;

pub use catalogue::{Catalogue, CatalogueError};
pub use error::RsdError;
pub use handshake::{HOST_PROTOCOL_VERSION, Handshake, REMOTE_XPC_VERSION_FLAGS, host_uuid};
pub use message::Message;
pub use service::{Service, Services};
pub use view::{HandshakeView, ServicePropertiesView, ServiceView};

/// Keys of RSD dictionaries. Source: protocol.md §4.1.
pub mod key {
    /// What a message is: `Handshake`, `Heartbeat`, …
    pub const MESSAGE_TYPE: &str = "MessageType";
    /// The sender's version of RSD.
    pub const PROTOCOL_VERSION: &str = "MessagingProtocolVersion";
    /// The sender's UUID.
    pub const UUID: &str = "UUID";
    /// A device's or a service's properties.
    pub const PROPERTIES: &str = "Properties";
    /// The services by name.
    pub const SERVICES: &str = "Services";
    /// The entitlement a client of a service needs.
    pub const ENTITLEMENT: &str = "Entitlement";
    /// A service's TCP port as a decimal string.
    pub const PORT: &str = "Port";
    /// Whether a service speaks RemoteXPC.
    pub const USES_REMOTE_XPC: &str = "UsesRemoteXPC";
    /// A service's version.
    pub const SERVICE_VERSION: &str = "ServiceVersion";
    /// Identifiers of what a service can do.
    pub const FEATURES: &str = "Features";
    /// The version of `com.apple.instruments.dtservicehub`.
    pub const VERSION: &str = "version";
    /// Set for a Mac's `ssh`.
    pub const LEGACY: &str = "Legacy";
    /// The property without which a current iOS refuses a Handshake.
    pub const REMOTE_XPC_VERSION_FLAGS: &str = "RemoteXPCVersionFlags";
    /// Whether the properties hold identifying ones.
    pub const SENSITIVE_PROPERTIES_VISIBLE: &str = "SensitivePropertiesVisible";
    /// The count in a Heartbeat.
    pub const SEQUENCE_NUMBER: &str = "SequenceNumber";
    /// The content of a Timesync.
    pub const TIMESYNC_PAYLOAD: &str = "TimesyncPayload";
    /// The answer to a Reset.
    pub const RESULT: &str = "Result";
    /// Whether StartTls asks for TLS.
    pub const YES_NO: &str = "YesNo";
    /// The policy in a StartTls: 1 off, 3 required, 2 unknown.
    pub const TLS_POLICY: &str = "TlsPolicy";
}
