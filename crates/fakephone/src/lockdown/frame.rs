//! Lockdown's framing: the length as u32, big endian, then an XML plist. Source: protocol.md §4.2.

use std::io;
use std::time::Duration;

use plist::{Dictionary, Value};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

/// One message.
pub type Message = Dictionary;

/// The longest message that is read, in bytes. The longest known request (RSDCheckin with an escrow bag) has a few
/// hundred; the bound is our own.
pub const MESSAGE_MAX: u32 = 1 << 20;

/// Arrays and dictionaries in one message; the known requests have one. It bounds the parser's depth as well, because
/// a nested value is freed by recursion.
const CONTAINERS_MAX: usize = 256;

/// Why a message could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The connection failed.
    #[error("the lockdown connection failed: {0}")]
    Io(#[from] io::Error),
    /// The peer closed in the middle of a message.
    #[error("expected a lockdown message of {expected} bytes, the peer closed after {got}")]
    Truncated {
        /// Bytes announced.
        expected: u32,
        /// Bytes that came.
        got: usize,
    },
    /// The announced length is beyond [`MESSAGE_MAX`].
    #[error("expected a lockdown message of at most {MESSAGE_MAX} bytes, {0} were announced")]
    TooLong(u32),
    /// More containers than any request has.
    #[error("expected at most {CONTAINERS_MAX} arrays and dictionaries in a lockdown message, found {0}")]
    TooManyContainers(usize),
    /// The bytes are no XML plist.
    #[error("expected an XML property list: {0}")]
    Plist(#[from] plist::Error),
    /// A plist, but no dictionary.
    #[error("expected a dictionary as a lockdown message")]
    NotADictionary,
    /// The message was not whole in time.
    #[error("a lockdown message was not whole after {0:?}")]
    Deadline(Duration),
}

/// Reads one message; `None` when the peer closed between messages.
///
/// The first byte may take forever, the rest `deadline`: a lockdown client may keep its connection for later.
///
/// # Errors
/// Every [`FrameError`].
pub async fn read_message<R>(reader: &mut R, deadline: Duration) -> Result<Option<Message>, FrameError>
where
    R: AsyncRead + Unpin,
{
    let mut first = [0];
    if reader.read(&mut first).await? == 0 {
        return Ok(None);
    }
    let rest = read_rest(reader, first[0]);
    timeout(deadline, rest).await.map_err(|_| FrameError::Deadline(deadline))?.map(Some)
}

async fn read_rest<R: AsyncRead + Unpin>(reader: &mut R, first: u8) -> Result<Message, FrameError> {
    let mut length = [first, 0, 0, 0];
    let mut got = 1;
    while got < length.len() {
        let count = reader.read(&mut length[got..]).await?;
        if count == 0 {
            return Err(FrameError::Truncated { expected: 4, got });
        }
        got += count;
    }
    let expected = u32::from_be_bytes(length);
    if expected > MESSAGE_MAX {
        return Err(FrameError::TooLong(expected));
    }
    // The buffer grows with what arrives, not with what is announced.
    let mut bytes = Vec::new();
    let got = reader.take(expected.into()).read_to_end(&mut bytes).await?;
    if got != expected as usize {
        return Err(FrameError::Truncated { expected, got });
    }
    decode(&bytes)
}

/// Reads the plist of one message, without its length.
///
/// # Errors
/// [`FrameError::TooManyContainers`], [`FrameError::Plist`], [`FrameError::NotADictionary`].
pub fn decode(bytes: &[u8]) -> Result<Message, FrameError> {
    let containers = bytes.windows(5).filter(|window| window == b"<dict").count()
        + bytes.windows(6).filter(|w| w == b"<array").count();
    if containers > CONTAINERS_MAX {
        return Err(FrameError::TooManyContainers(containers));
    }
    Value::from_reader_xml(bytes)?.into_dictionary().ok_or(FrameError::NotADictionary)
}

/// One message with its length in front.
///
/// # Errors
/// [`FrameError::Plist`] and [`FrameError::TooLong`]; neither happens with the answers of this crate.
pub fn encode(message: Message) -> Result<Vec<u8>, FrameError> {
    let mut bytes = vec![0; 4];
    Value::Dictionary(message).to_writer_xml(&mut bytes)?;
    let length = u32::try_from(bytes.len() - 4).map_err(|_| FrameError::TooLong(u32::MAX))?;
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn request() -> Message {
        Message::from_iter([("Request", Value::from("QueryType"))])
    }

    #[tokio::test]
    async fn what_is_written_is_read_and_the_end_is_no_error() {
        let mut bytes = encode(request()).unwrap();
        bytes.extend(encode(request()).unwrap());
        let mut reader = bytes.as_slice();
        assert_eq!(read_message(&mut reader, SECOND).await.unwrap(), Some(request()));
        assert_eq!(read_message(&mut reader, SECOND).await.unwrap(), Some(request()));
        assert_eq!(read_message(&mut reader, SECOND).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_length_beyond_the_limit_is_refused_before_its_bytes() {
        let error = read_message(&mut [0xff; 4].as_slice(), SECOND).await.unwrap_err();
        assert!(matches!(error, FrameError::TooLong(u32::MAX)), "{error}");
    }

    #[tokio::test]
    async fn a_message_cut_short_is_refused() {
        let bytes = encode(request()).unwrap();
        for length in 1..bytes.len() {
            let error = read_message(&mut &bytes[..length], SECOND).await.unwrap_err();
            assert!(matches!(error, FrameError::Truncated { .. }), "{length}: {error}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_byte_may_wait_and_the_rest_has_a_deadline() {
        use tokio::io::AsyncWriteExt;
        let (mut client, mut server) = tokio::io::duplex(64);
        let reader = tokio::spawn(async move { read_message(&mut server, SECOND).await });
        tokio::time::sleep(SECOND * 60).await;
        assert!(!reader.is_finished());
        client.write_all(&[0, 0]).await.unwrap();
        let error = reader.await.unwrap().unwrap_err();
        assert!(matches!(error, FrameError::Deadline(SECOND)), "{error}");
    }

    #[test]
    fn deep_nesting_is_refused_unparsed() {
        for tag in ["<array>", "<dict><key>a</key>"] {
            let error = decode(tag.repeat(100_000).as_bytes()).unwrap_err();
            assert!(matches!(error, FrameError::TooManyContainers(100_000)), "{error}");
        }
    }

    #[test]
    fn a_plist_that_is_no_dictionary_and_bytes_that_are_no_plist_are_refused() {
        let mut array = Vec::new();
        Value::Array(Vec::new()).to_writer_xml(&mut array).unwrap();
        assert!(matches!(decode(&array).unwrap_err(), FrameError::NotADictionary));
        assert!(matches!(decode(b"bplist00\xd0").unwrap_err(), FrameError::Plist(_)));
        assert!(matches!(decode(b"").unwrap_err(), FrameError::Plist(_)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
            let _ = decode(&bytes);
        }

        #[test]
        fn nearly_plists_do_not_either(
            parts in proptest::collection::vec(
                proptest::sample::select(vec![
                    "<?xml version=\"1.0\"?>", "<plist>", "</plist>", "<dict>", "</dict>", "<key>", "</key>", "<array>",
                    "</array>", "<string>", "</string>", "<integer>", "</integer>", "<data>", "</data>", "<date>",
                    "</date>", "<real>", "</real>", "<true/>", "&lt;", "&#0;", "12", "=", "a", "<!--", "-->",
                ]),
                0..64,
            )
        ) {
            let _ = decode(parts.concat().as_bytes());
        }
    }
}
