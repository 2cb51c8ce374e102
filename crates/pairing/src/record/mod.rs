//! Pair records: what a host keeps about a device it paired with.

mod format;
mod pymobiledevice3;

use crate::identity::{Identity, IdentityError, PeerKey};
use crate::info::PeerInfo;
use crate::message::HostKey;

/// Why a record can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The text is not our JSON.
    #[error("the pair record is not valid JSON of ours: {0}")]
    Json(#[source] serde_json::Error),
    /// The record is of another version.
    #[error(
        "the pair record has schema {got:?}, this version reads {expected:?}: pair again or use a newer version"
    )]
    Schema {
        /// What it has.
        got: String,
        /// What is read.
        expected: &'static str,
    },
    /// The bytes are no property list.
    #[error("the pair record is not a property list: {0}")]
    Plist(#[source] plist::Error),
    /// A field is missing or has a wrong form.
    #[error("the pair record has no usable {field}: {expected} is expected")]
    Field {
        /// The field.
        field: &'static str,
        /// What is expected.
        expected: &'static str,
    },
    /// The two keys of the record don't belong together.
    #[error("the pair record's public key is not the one of its private key: the file is damaged")]
    KeyMismatch,
    /// An identifier or key in it is refused.
    #[error("the pair record: {0}")]
    Identity(#[from] IdentityError),
}

/// The device whose identity is pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedPeer {
    /// Its long-term identifier, as it stands in M6 and V2.
    pub identifier: String,
    /// Its long-term public key.
    pub public_key: PeerKey,
}

/// What is known about the remote unlock key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum RemoteUnlock {
    /// Not asked for yet.
    #[default]
    Unknown,
    /// The device has none, as Apple TVs.
    Unsupported,
    /// The key.
    Key(HostKey),
}

/// What a host keeps about a device it paired with.
#[derive(Debug, Clone)]
pub struct PairRecord {
    /// What names the record: what the host knew the device by, over RSD its UDID; else the device's
    /// `peerDeviceInfo.identifier`.
    pub identifier: String,
    /// The identity that the device knows us by.
    pub host: Identity,
    /// The device's identity; `None` in records of other tools, which don't keep it.
    pub peer: Option<PinnedPeer>,
    /// What the device said about itself.
    pub info: PeerInfo,
    /// The remote unlock key.
    pub remote_unlock: RemoteUnlock,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::AltIrk;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng as _;

    pub(super) fn record() -> PairRecord {
        let mut rng = ChaCha20Rng::seed_from_u64(11);
        let device = Identity::generate("DEVICE", &mut rng).unwrap();
        PairRecord {
            identifier: "00008120-000000000000001E".into(),
            host: Identity::generate("HOST", &mut rng).unwrap(),
            peer: Some(PinnedPeer { identifier: "DEVICE".into(), public_key: device.public_key() }),
            info: PeerInfo {
                alt_irk: Some(AltIrk::new([9; 16])),
                account_id: Some("DEVICE".into()),
                model: Some("iPhone15,3".into()),
                name: Some("Test".into()),
                udid: Some("00008120-000000000000001E".into()),
                serial_number: None,
            },
            remote_unlock: RemoteUnlock::Key(HostKey::new("c2VjcmV0")),
        }
    }

    #[test]
    fn the_debug_text_of_a_record_holds_no_secret() {
        let text = format!("{:?}", record());
        assert!(!text.contains("c2VjcmV0") && !text.contains("9, 9"), "{text}");
        assert!(text.contains("HostKey(redacted)") && text.contains("AltIrk(redacted)"));
    }
}
