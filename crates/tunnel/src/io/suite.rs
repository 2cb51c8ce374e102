//! The TLS cipher suites of the TCP transport.

use std::fmt;

/// A pre-shared-key suite. Source: protocol.md §5.8; the numbers are RFC 5487's and RFC 4279's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Suite {
    /// 0x00A9, the fastest, and the only one that go-ios offers.
    Aes256GcmSha384,
    /// 0x00AF, which idevice says phones prefer.
    Aes256CbcSha384,
    /// 0x00A8.
    Aes128GcmSha256,
    /// 0x00AE.
    Aes128CbcSha256,
    /// 0x008C.
    Aes128CbcSha,
    /// 0x008D, for the simulated phone only.
    Aes256CbcSha,
}

impl Suite {
    /// What a host offers, in its order. Source: protocol.md §9.4.
    pub const HOST: [Self; 5] = [
        Self::Aes256GcmSha384,
        Self::Aes256CbcSha384,
        Self::Aes128GcmSha256,
        Self::Aes128CbcSha256,
        Self::Aes128CbcSha,
    ];

    /// What a simulated device takes. Source: protocol.md §5.8.
    pub const DEVICE: [Self; 6] = [
        Self::Aes256GcmSha384,
        Self::Aes256CbcSha384,
        Self::Aes128GcmSha256,
        Self::Aes128CbcSha256,
        Self::Aes128CbcSha,
        Self::Aes256CbcSha,
    ];

    /// Its number on the wire.
    pub fn id(self) -> u16 {
        match self {
            Self::Aes256GcmSha384 => 0x00a9,
            Self::Aes256CbcSha384 => 0x00af,
            Self::Aes128GcmSha256 => 0x00a8,
            Self::Aes128CbcSha256 => 0x00ae,
            Self::Aes128CbcSha => 0x008c,
            Self::Aes256CbcSha => 0x008d,
        }
    }

    /// OpenSSL's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aes256GcmSha384 => "PSK-AES256-GCM-SHA384",
            Self::Aes256CbcSha384 => "PSK-AES256-CBC-SHA384",
            Self::Aes128GcmSha256 => "PSK-AES128-GCM-SHA256",
            Self::Aes128CbcSha256 => "PSK-AES128-CBC-SHA256",
            Self::Aes128CbcSha => "PSK-AES128-CBC-SHA",
            Self::Aes256CbcSha => "PSK-AES256-CBC-SHA",
        }
    }

    /// The suite that OpenSSL calls so.
    pub(crate) fn by_name(name: &str) -> Option<Self> {
        Self::DEVICE.into_iter().find(|suite| suite.name() == name)
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (0x{:04X})", self.name(), self.id())
    }
}
