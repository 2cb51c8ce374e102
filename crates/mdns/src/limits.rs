//! Every bound in one place.

/// What one link may cost: each field is a hard bound, whatever the neighbours send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest message, in bytes, both ways. Source: RFC 6762 §17.
    pub message_bytes: usize,
    /// Most questions in a message.
    pub questions: usize,
    /// Most records in a message, all sections together.
    pub records: usize,
    /// Most instances a browser remembers.
    pub instances: usize,
    /// Most instances of one sender, so that no neighbour can take the places of others.
    pub instances_of_sender: usize,
    /// Most addresses of one host.
    pub addresses: usize,
    /// Most TXT data of one instance, in bytes with the length bytes.
    pub txt_bytes: usize,
    /// Longest life of a cached record, in seconds: a hostile TTL can't hold a place longer.
    /// Source: RFC 6762 §10 (75 minutes is the recommended longest).
    pub ttl_seconds: u32,
    /// Bytes of a query or answer that we compose: the payload that fits an Ethernet frame, so nothing is fragmented.
    pub payload_bytes: usize,
    /// Unicast answers a responder gives in a burst.
    pub unicast_burst: u32,
    /// Unicast answers a responder gives each second after the burst.
    pub unicast_per_second: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 9000,
            questions: 64,
            records: 512,
            instances: 256,
            instances_of_sender: 8,
            addresses: 8,
            txt_bytes: 1300,
            ttl_seconds: 4500,
            // 1500 less the IPv6 and UDP headers.
            payload_bytes: 1452,
            unicast_burst: 40,
            unicast_per_second: 20,
        }
    }
}
