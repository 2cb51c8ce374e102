//! Import and export of pymobiledevice3's property list.
//!
//! Source: protocol.md §5.12.

use plist::{Dictionary, Value};
use zeroize::{Zeroize as _, Zeroizing};

use super::{PairRecord, RecordError, RemoteUnlock};
use crate::identity::{AltIrk, Identity, check_identifier, host_identifier};
use crate::info::PeerInfo;
use crate::message::HostKey;

/// The `altIRK` that pymobiledevice3 and idevice send for their host; their records don't repeat it.
///
/// Source: protocol.md §5.5 (constants); idevice 0.1.68 `remote_pairing/mod.rs`.
const CLIENT_ALT_IRK: [u8; 16] =
    [0xe9, 0xe8, 0x2d, 0xc0, 0x6a, 0x49, 0x79, 0x6b, 0x56, 0x6f, 0x54, 0x00, 0x19, 0xb1, 0xc7, 0x7b];

/// A property list whose values are wiped when it is dropped.
struct Wiped(Dictionary);

impl Drop for Wiped {
    fn drop(&mut self) {
        for value in self.0.values_mut() {
            match value {
                Value::Data(bytes) => bytes.zeroize(),
                Value::String(text) => text.zeroize(),
                _ => {}
            }
        }
    }
}

impl Wiped {
    fn data<const N: usize>(
        &self,
        field: &'static str,
        expected: &'static str,
    ) -> Result<Option<Zeroizing<[u8; N]>>, RecordError> {
        let read = |value: &Value| value.as_data().and_then(|bytes| bytes.try_into().ok());
        match self.0.get(field) {
            None => Ok(None),
            Some(value) => match read(value) {
                Some(bytes) => Ok(Some(Zeroizing::new(bytes))),
                None => Err(RecordError::Field { field, expected }),
            },
        }
    }

    /// A text; pymobiledevice3 writes an empty one for what it doesn't have.
    fn text(&self, field: &str) -> Option<String> {
        self.0.get(field).and_then(Value::as_string).filter(|text| !text.is_empty()).map(str::to_owned)
    }
}

impl PairRecord {
    /// Reads pymobiledevice3's record of the device that `identifier` names.
    ///
    /// The record has no public key of the device, so nothing is pinned until the next pair-setup; and unless the
    /// device began the pairing it doesn't name the host, whose identifier then comes from `host_name`.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn from_pymobiledevice3(
        bytes: &[u8],
        identifier: &str,
        host_name: &str,
    ) -> Result<Self, RecordError> {
        const KEY: &str = "32 bytes";
        const IRK: &str = "16 bytes";
        check_identifier(identifier)?;
        let list = Wiped(plist::from_bytes(bytes).map_err(RecordError::Plist)?);
        let private = list
            .data::<32>("private_key", KEY)?
            .ok_or(RecordError::Field { field: "private_key", expected: KEY })?;
        let host_irk = list.data::<16>("host_alt_irk", IRK)?.map_or(CLIENT_ALT_IRK, |irk| *irk);
        let host_name = list.text("host_identifier").unwrap_or_else(|| host_identifier(host_name));
        let host = Identity::from_parts(host_name, &private, AltIrk::new(host_irk))?;
        let public = list.data::<32>("public_key", KEY)?;
        if public.is_some_and(|public| *public != *host.public_key().as_bytes()) {
            return Err(RecordError::KeyMismatch);
        }
        Ok(Self {
            identifier: identifier.to_owned(),
            host,
            peer: None,
            info: PeerInfo {
                alt_irk: list.data::<16>("peer_alt_irk", IRK)?.map(|irk| AltIrk::new(*irk)),
                account_id: None,
                model: list.text("peer_model"),
                name: list.text("peer_name"),
                udid: list.text("peer_udid"),
                serial_number: None,
            },
            remote_unlock: list
                .text("remote_unlock_host_key")
                .map_or(RemoteUnlock::Unknown, |key| RemoteUnlock::Key(HostKey::new(key))),
        })
    }

    /// The record as pymobiledevice3 keeps it, XML, wiped when dropped; it belongs into `remote_<identifier>.plist`.
    ///
    /// # Errors
    /// [`RecordError::Plist`].
    pub fn to_pymobiledevice3(&self) -> Result<Zeroizing<Vec<u8>>, RecordError> {
        let data = |bytes: &[u8]| Value::Data(bytes.to_vec());
        let mut list = Wiped(Dictionary::new());
        let mut put = |key: &str, value: Value| list.0.insert(key.to_owned(), value);
        put("public_key", data(self.host.public_key().as_bytes()));
        put("private_key", data(self.host.private_key().as_slice()));
        let unlock = match &self.remote_unlock {
            RemoteUnlock::Key(key) => key.expose(),
            RemoteUnlock::Unknown | RemoteUnlock::Unsupported => "",
        };
        put("remote_unlock_host_key", unlock.into());
        put("host_identifier", self.host.identifier().into());
        put("host_alt_irk", data(self.host.alt_irk().expose()));
        if let Some(irk) = &self.info.alt_irk {
            put("peer_alt_irk", data(irk.expose()));
        }
        for (key, text) in
            [("peer_udid", &self.info.udid), ("peer_model", &self.info.model), ("peer_name", &self.info.name)]
        {
            if let Some(text) = text {
                put(key, text.as_str().into());
            }
        }
        let mut out = Zeroizing::new(Vec::with_capacity(8 * 1024));
        plist::to_writer_xml(&mut *out, &list.0).map_err(RecordError::Plist)?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::record;
    use super::*;

    #[test]
    fn a_record_survives_export_and_import_but_for_the_pin() {
        let record = record();
        let list = record.to_pymobiledevice3().unwrap();
        let read = PairRecord::from_pymobiledevice3(&list, &record.identifier, "other-name").unwrap();
        assert_eq!(read.host.identifier(), record.host.identifier());
        assert_eq!(read.host.private_key().as_slice(), record.host.private_key().as_slice());
        assert_eq!(read.host.alt_irk(), record.host.alt_irk());
        assert_eq!(read.remote_unlock, record.remote_unlock);
        assert_eq!(read.info.udid, record.info.udid);
        assert_eq!(read.info.alt_irk, record.info.alt_irk);
        assert_eq!(read.peer, None);
    }

    /// The four keys that pymobiledevice3 writes after a pairing that the host began.
    fn host_initiated(public: &[u8; 32], private: &[u8; 32]) -> Vec<u8> {
        let mut list = Dictionary::new();
        list.insert("public_key".into(), Value::Data(public.to_vec()));
        list.insert("private_key".into(), Value::Data(private.to_vec()));
        list.insert("remote_unlock_host_key".into(), "QUJD".into());
        list.insert("peer_alt_irk".into(), Value::Data(vec![5; 16]));
        let mut out = Vec::new();
        plist::to_writer_xml(&mut out, &list).unwrap();
        out
    }

    #[test]
    fn a_host_initiated_record_takes_the_identifier_of_the_host_name() {
        let host = record().host;
        let list = host_initiated(host.public_key().as_bytes(), &host.private_key());
        let read = PairRecord::from_pymobiledevice3(&list, "UDID", "python.org").unwrap();
        assert_eq!(read.host.identifier(), "6FA459EA-EE8A-3CA4-894E-DB77E160355E");
        assert_eq!(read.host.alt_irk().expose(), &CLIENT_ALT_IRK);
        assert_eq!(read.remote_unlock, RemoteUnlock::Key(HostKey::new("QUJD")));
    }

    #[test]
    fn damaged_lists_are_typed_errors() {
        let host = record().host;
        let other = host_initiated(&[3; 32], &host.private_key());
        assert!(matches!(
            PairRecord::from_pymobiledevice3(&other, "UDID", "h"),
            Err(RecordError::KeyMismatch)
        ));
        assert!(matches!(PairRecord::from_pymobiledevice3(b"x", "UDID", "h"), Err(RecordError::Plist(_))));
        let list = host_initiated(host.public_key().as_bytes(), &host.private_key());
        assert!(matches!(
            PairRecord::from_pymobiledevice3(&list, "../x", "h"),
            Err(RecordError::Identity(_))
        ));
        let mut empty = Vec::new();
        plist::to_writer_xml(&mut empty, &Dictionary::new()).unwrap();
        assert!(matches!(
            PairRecord::from_pymobiledevice3(&empty, "UDID", "h"),
            Err(RecordError::Field { field: "private_key", .. })
        ));
    }
}
