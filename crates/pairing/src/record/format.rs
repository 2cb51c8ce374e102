//! Our own format: JSON with a schema name.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{PairRecord, PinnedPeer, RecordError, RemoteUnlock};
use crate::identity::{AltIrk, Identity, PeerKey, check_identifier};
use crate::info::PeerInfo;
use crate::message::HostKey;

const SCHEMA: &str = "iosmux-pair-record/1";
/// Room for a record, so that growing leaves no copies of its secrets behind.
const ROOM: usize = 16 * 1024;

type Secret = Zeroizing<String>;

#[derive(Serialize, Deserialize)]
struct Record {
    schema: String,
    identifier: String,
    host: Host,
    peer: Option<Peer>,
    device: Device,
    remote_unlock: Unlock,
}

#[derive(Serialize, Deserialize)]
struct Host {
    identifier: String,
    private_key: Secret,
    alt_irk: Secret,
}

#[derive(Serialize, Deserialize)]
struct Peer {
    identifier: String,
    public_key: String,
}

#[derive(Serialize, Deserialize)]
struct Device {
    udid: Option<String>,
    model: Option<String>,
    name: Option<String>,
    serial_number: Option<String>,
    account_id: Option<String>,
    alt_irk: Option<Secret>,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
enum Unlock {
    Unknown,
    Unsupported,
    Key { host_key: Secret },
}

fn secret(bytes: &[u8]) -> Secret {
    Zeroizing::new(STANDARD.encode(bytes))
}

fn array<const N: usize>(
    text: &str,
    field: &'static str,
    expected: &'static str,
) -> Result<Zeroizing<[u8; N]>, RecordError> {
    let error = || RecordError::Field { field, expected };
    let bytes = Zeroizing::new(STANDARD.decode(text).map_err(|_| error())?);
    bytes.as_slice().try_into().map(Zeroizing::new).map_err(|_| error())
}

const KEY_FORM: &str = "32 bytes as base64";
const IRK_FORM: &str = "16 bytes as base64";

impl Host {
    fn of(identity: &Identity) -> Self {
        Self {
            identifier: identity.identifier().to_owned(),
            private_key: secret(identity.private_key().as_slice()),
            alt_irk: secret(identity.alt_irk().expose()),
        }
    }

    fn identity(&self) -> Result<Identity, RecordError> {
        let private = array(&self.private_key, "host.private_key", KEY_FORM)?;
        let irk = AltIrk::new(*array(&self.alt_irk, "host.alt_irk", IRK_FORM)?);
        Ok(Identity::from_parts(&self.identifier, &private, irk)?)
    }
}

impl From<&PairRecord> for Record {
    fn from(record: &PairRecord) -> Self {
        let info = &record.info;
        Self {
            schema: SCHEMA.to_owned(),
            identifier: record.identifier.clone(),
            host: Host::of(&record.host),
            peer: record.peer.as_ref().map(|peer| Peer {
                identifier: peer.identifier.clone(),
                public_key: STANDARD.encode(peer.public_key.as_bytes()),
            }),
            device: Device {
                udid: info.udid.clone(),
                model: info.model.clone(),
                name: info.name.clone(),
                serial_number: info.serial_number.clone(),
                account_id: info.account_id.clone(),
                alt_irk: info.alt_irk.as_ref().map(|irk| secret(irk.expose())),
            },
            remote_unlock: match &record.remote_unlock {
                RemoteUnlock::Unknown => Unlock::Unknown,
                RemoteUnlock::Unsupported => Unlock::Unsupported,
                RemoteUnlock::Key(key) => Unlock::Key { host_key: Zeroizing::new(key.expose().to_owned()) },
            },
        }
    }
}

impl TryFrom<Record> for PairRecord {
    type Error = RecordError;

    fn try_from(record: Record) -> Result<Self, RecordError> {
        check_identifier(&record.identifier)?;
        let peer = record.peer.map(|peer| {
            let key = array(&peer.public_key, "peer.public_key", KEY_FORM)?;
            check_identifier(&peer.identifier)?;
            Ok::<_, RecordError>(PinnedPeer { identifier: peer.identifier, public_key: PeerKey::new(*key)? })
        });
        let irk = record.device.alt_irk.as_ref().map(|irk| array(irk, "device.alt_irk", IRK_FORM));
        Ok(Self {
            identifier: record.identifier,
            host: record.host.identity()?,
            peer: peer.transpose()?,
            info: PeerInfo {
                alt_irk: irk.transpose()?.map(|irk| AltIrk::new(*irk)),
                account_id: record.device.account_id,
                model: record.device.model,
                name: record.device.name,
                udid: record.device.udid,
                serial_number: record.device.serial_number,
            },
            remote_unlock: match record.remote_unlock {
                Unlock::Unknown => RemoteUnlock::Unknown,
                Unlock::Unsupported => RemoteUnlock::Unsupported,
                Unlock::Key { host_key } => RemoteUnlock::Key(HostKey::new(host_key.as_str())),
            },
        })
    }
}

impl PairRecord {
    /// The record as JSON, wiped when dropped.
    ///
    /// # Errors
    /// [`RecordError::Json`].
    pub fn to_json(&self) -> Result<Zeroizing<Vec<u8>>, RecordError> {
        write(&Record::from(self))
    }

    /// Reads JSON of ours.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, RecordError> {
        let record: Record = serde_json::from_slice(bytes).map_err(RecordError::Json)?;
        check_schema(&record.schema, SCHEMA)?;
        record.try_into()
    }
}

const IDENTITY_SCHEMA: &str = "iosmux-host-identity/1";

#[derive(Serialize, Deserialize)]
struct IdentityFile {
    schema: String,
    #[serde(flatten)]
    host: Host,
}

impl Identity {
    /// The identity as JSON, wiped when dropped.
    ///
    /// # Errors
    /// [`RecordError::Json`].
    pub fn to_json(&self) -> Result<Zeroizing<Vec<u8>>, RecordError> {
        write(&IdentityFile { schema: IDENTITY_SCHEMA.to_owned(), host: Host::of(self) })
    }

    /// Reads JSON of ours.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, RecordError> {
        let file: IdentityFile = serde_json::from_slice(bytes).map_err(RecordError::Json)?;
        check_schema(&file.schema, IDENTITY_SCHEMA)?;
        file.host.identity()
    }
}

fn check_schema(got: &str, expected: &'static str) -> Result<(), RecordError> {
    if got == expected { Ok(()) } else { Err(RecordError::Schema { got: got.to_owned(), expected }) }
}

fn write(value: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, RecordError> {
    let mut out = Zeroizing::new(Vec::with_capacity(ROOM));
    serde_json::to_writer_pretty(&mut *out, value).map_err(RecordError::Json)?;
    out.push(b'\n');
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::super::tests::record;
    use super::*;

    #[test]
    fn a_record_reads_back() {
        let record = record();
        let read = PairRecord::from_json(&record.to_json().unwrap()).unwrap();
        assert_eq!(read.identifier, record.identifier);
        assert_eq!(read.host.private_key().as_slice(), record.host.private_key().as_slice());
        assert_eq!(read.host.alt_irk(), record.host.alt_irk());
        assert_eq!((read.peer, read.info), (record.peer, record.info));
        assert_eq!(read.remote_unlock, record.remote_unlock);
    }

    #[test]
    fn an_identity_reads_back_and_is_no_record() {
        let identity = record().host;
        let json = identity.to_json().unwrap();
        let read = Identity::from_json(&json).unwrap();
        assert_eq!(read.private_key().as_slice(), identity.private_key().as_slice());
        assert!(matches!(PairRecord::from_json(&json), Err(RecordError::Json(_))));
    }

    #[test]
    fn another_schema_and_damaged_fields_are_typed_errors() {
        let json = String::from_utf8(record().to_json().unwrap().to_vec()).unwrap();
        let other = json.replace(SCHEMA, "iosmux-pair-record/9");
        assert!(matches!(PairRecord::from_json(other.as_bytes()), Err(RecordError::Schema { .. })));
        let path = json.replace("00008120-000000000000001E", "../../x");
        assert!(matches!(PairRecord::from_json(path.as_bytes()), Err(RecordError::Identity(_))));
        let key = STANDARD.encode(record().host.private_key().as_slice());
        let short = json.replace(&key, "AAAA");
        assert!(matches!(
            PairRecord::from_json(short.as_bytes()),
            Err(RecordError::Field { field: "host.private_key", .. })
        ));
    }
}
