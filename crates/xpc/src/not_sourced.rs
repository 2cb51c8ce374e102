//! What no source supports: the one typed stop of the whole product.

/// A byte that no capture and no primary source gives: the code stops here instead of guessing.
///
/// Every name is a bullet of `docs/research/gaps.md`; `cargo xtask test lint` fails when code and list differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[error(
    "{what}: no capture or primary source tells how this goes on; what is known is in docs/research/gaps.md"
)]
pub struct NotSourced {
    /// The name of the gap in `docs/research/gaps.md`, in kebab case.
    pub what: &'static str,
}

/// XPC type 0x6000.
pub const XPC_TYPE_POINTER: NotSourced = NotSourced { what: "xpc-type-pointer" };
/// XPC type 0xd000.
pub const XPC_TYPE_MACH_SEND: NotSourced = NotSourced { what: "xpc-type-mach-send" };
/// XPC type 0x10000.
pub const XPC_TYPE_ERROR: NotSourced = NotSourced { what: "xpc-type-error" };
/// XPC type 0x11000.
pub const XPC_TYPE_CONNECTION: NotSourced = NotSourced { what: "xpc-type-connection" };
/// XPC type 0x12000.
pub const XPC_TYPE_ENDPOINT: NotSourced = NotSourced { what: "xpc-type-endpoint" };
/// XPC type 0x13000.
pub const XPC_TYPE_SERIALIZER: NotSourced = NotSourced { what: "xpc-type-serializer" };
/// XPC type 0x14000.
pub const XPC_TYPE_PIPE: NotSourced = NotSourced { what: "xpc-type-pipe" };
/// XPC type 0x15000.
pub const XPC_TYPE_MACH_RECV: NotSourced = NotSourced { what: "xpc-type-mach-recv" };
/// XPC type 0x16000.
pub const XPC_TYPE_BUNDLE: NotSourced = NotSourced { what: "xpc-type-bundle" };
/// XPC type 0x17000.
pub const XPC_TYPE_SERVICE: NotSourced = NotSourced { what: "xpc-type-service" };
/// XPC type 0x18000.
pub const XPC_TYPE_SERVICE_INSTANCE: NotSourced = NotSourced { what: "xpc-type-service-instance" };
/// XPC type 0x19000.
pub const XPC_TYPE_ACTIVITY: NotSourced = NotSourced { what: "xpc-type-activity" };
/// The negotiation that follows an RSD `StartTls` message.
pub const RSD_START_TLS: NotSourced = NotSourced { what: "rsd-start-tls" };

#[cfg(test)]
mod tests {
    #[test]
    fn a_gap_says_where_to_read_on() {
        insta::assert_snapshot!(
            super::RSD_START_TLS,
            @"rsd-start-tls: no capture or primary source tells how this goes on; what is known is in docs/research/gaps.md"
        );
    }
}
