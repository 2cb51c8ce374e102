//! The bytes of an ICMPv6 echo. The kernel fills in the checksum of ICMPv6 sockets (RFC 3542 §3.1).

/// What tells our echoes from those of others; it comes back as it was sent.
pub(super) type Token = [u8; 8];

/// Type, code, checksum, identifier, sequence number.
const HEADER: usize = 8;
/// Source: RFC 4443 §4.1.
const REQUEST: u8 = 128;
/// Source: RFC 4443 §4.2.
const REPLY: u8 = 129;

/// An echo request. Source: RFC 4443 §4.1.
pub(super) fn request(sequence: u16, token: Token) -> [u8; 16] {
    // Ping sockets put an identifier of their own in; in raw ones the token is enough.
    let identifier = [token[0], token[1]];
    let mut bytes = [0; 16];
    bytes[0] = REQUEST;
    bytes[4..6].copy_from_slice(&identifier);
    bytes[6..HEADER].copy_from_slice(&sequence.to_be_bytes());
    bytes[HEADER..].copy_from_slice(&token);
    bytes
}

/// Whether these bytes answer an echo with this token. Source: RFC 4443 §4.2.
pub(super) fn is_reply(bytes: &[u8], token: Token) -> bool {
    bytes.starts_with(&[REPLY, 0]) && bytes.get(HEADER..) == Some(&token)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: Token = [1, 2, 3, 4, 5, 6, 7, 8];

    #[test]
    fn a_request_has_the_bytes_of_the_rfc() {
        let expected = [128, 0, 0, 0, 1, 2, 0x12, 0x34, 1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(request(0x1234, TOKEN), expected);
    }

    #[test]
    fn only_our_own_reply_is_one() {
        // As it comes back: another type, a checksum, the identifier of the socket.
        let mut reply = request(1, TOKEN);
        (reply[0], reply[2], reply[3], reply[4]) = (129, 0xab, 0xcd, 0x99);
        assert!(is_reply(&reply, TOKEN));
        assert!(!is_reply(&request(1, TOKEN), TOKEN), "a request is no reply");
        assert!(!is_reply(&reply, [0; 8]));
        assert!(!is_reply(&reply[..15], TOKEN));
        assert!(!is_reply(&[&reply[..], &[0]].concat(), TOKEN));
        reply[1] = 1;
        assert!(!is_reply(&reply, TOKEN));
        assert!(!is_reply(&[], TOKEN));
    }
}
