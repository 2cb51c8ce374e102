//! The gaps of this crate: what no source gives, so that the code stops with a typed error.

pub use iosmux_xpc::NotSourced;

/// OPACK strings and data whose length takes more than two bytes: sources disagree on how many.
pub const OPACK_LONG_LENGTH: NotSourced = NotSourced { what: "opack-long-length" };
/// OPACK types other than those that a pairing has been seen to carry.
pub const OPACK_TYPE: NotSourced = NotSourced { what: "opack-type" };
/// Requests on the control channel other than handshake, createRemoteUnlockKey and createListener.
pub const REMOTEPAIRING_REQUEST: NotSourced = NotSourced { what: "remotepairing-request" };
/// Events inside the encrypted channel: which nonce they take is not known.
pub const REMOTEPAIRING_ENCRYPTED_EVENT: NotSourced = NotSourced { what: "remotepairing-encrypted-event" };
