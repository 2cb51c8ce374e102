//! The description of one service instance.

use std::net::Ipv6Addr;

use crate::{error::ServiceError, limits::Limits, message::txt_len, name::Name};

/// What is announced: one instance of one type, at one host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Instance label, e.g. `ncm`; dots and spaces are part of it.
    pub instance: String,
    /// Type, e.g. `_remoted._tcp`.
    pub service_type: String,
    /// Host name, e.g. `iPhone.local`.
    pub host: String,
    /// TCP or UDP port.
    pub port: u16,
    /// TXT strings of 1 to 255 bytes. None is announced as the single zero byte: whether `_remoted` has a TXT record is
    /// not known. Source: protocol.md §8 item 5; RFC 6763 §6.1.
    pub txt: Vec<Vec<u8>>,
    /// Addresses on this link; nothing is announced while there is none.
    pub addresses: Vec<Ipv6Addr>,
}

/// The names of a checked [`Service`].
#[derive(Debug, Clone)]
pub(crate) struct Names {
    pub(crate) service_type: Name,
    pub(crate) instance: Name,
    pub(crate) host: Name,
}

impl Service {
    /// An instance without TXT strings and addresses.
    pub fn new(
        instance: impl Into<String>,
        service_type: impl Into<String>,
        host: impl Into<String>,
        port: u16,
    ) -> Self {
        Self {
            instance: instance.into(),
            service_type: service_type.into(),
            host: host.into(),
            port,
            txt: Vec::new(),
            addresses: Vec::new(),
        }
    }

    /// The same with these addresses.
    #[must_use]
    pub fn with_addresses(mut self, addresses: impl IntoIterator<Item = Ipv6Addr>) -> Self {
        self.addresses = addresses.into_iter().collect();
        self
    }

    /// The same with these TXT strings.
    #[must_use]
    pub fn with_txt(mut self, strings: impl IntoIterator<Item = Vec<u8>>) -> Self {
        self.txt = strings.into_iter().collect();
        self
    }

    /// Checks every field and gives the names.
    pub(crate) fn names(&self, limits: &Limits) -> Result<Names, ServiceError> {
        let service_type = service_type(&self.service_type)?;
        let instance = service_type.child(self.instance.as_bytes()).map_err(|source| ServiceError::Name {
            field: "instance",
            value: self.instance.clone(),
            source,
        })?;
        let host = Name::parse(&self.host).map_err(|source| ServiceError::Name {
            field: "host",
            value: self.host.clone(),
            source,
        })?;
        if self.port == 0 {
            return Err(ServiceError::PortZero);
        }
        if let Some(string) = self.txt.iter().find(|string| string.is_empty() || string.len() > 255) {
            return Err(ServiceError::TxtString(string.len()));
        }
        let got = txt_len(&self.txt);
        if got > limits.txt_bytes {
            return Err(ServiceError::TxtTooLong { limit: limits.txt_bytes, got });
        }
        check_addresses(&self.addresses, limits)?;
        Ok(Names { service_type, instance, host })
    }
}

/// Refuses more addresses than the limit.
pub(crate) fn check_addresses(addresses: &[Ipv6Addr], limits: &Limits) -> Result<(), ServiceError> {
    match addresses.len() {
        got if got > limits.addresses => Err(ServiceError::TooManyAddresses { limit: limits.addresses, got }),
        _ => Ok(()),
    }
}

/// The full name of a service type: `_remoted._tcp`, with or without `.local` and a final dot.
///
/// # Errors
/// Anything but two labels, the first with an underscore and the second `_tcp` or `_udp`.
pub fn service_type(text: &str) -> Result<Name, ServiceError> {
    let wrong = || ServiceError::Type(text.to_owned());
    let trimmed = text.strip_suffix('.').unwrap_or(text);
    let (service, protocol) =
        trimmed.strip_suffix(".local").unwrap_or(trimmed).split_once('.').ok_or_else(wrong)?;
    if !service.starts_with('_') || !matches!(protocol, "_tcp" | "_udp") {
        return Err(wrong());
    }
    Name::parse(&format!("{service}.{protocol}.local")).map_err(|source| ServiceError::Name {
        field: "service type",
        value: text.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_types_are_normalised() {
        for text in ["_remoted._tcp", "_remoted._tcp.", "_remoted._tcp.local", "_remoted._tcp.local."] {
            assert_eq!(service_type(text).unwrap().to_string(), "_remoted._tcp.local");
        }
        for text in ["remoted._tcp", "_remoted", "_remoted._sctp", "", "_a._b._tcp", "_remoted._tcp.example"]
        {
            assert_eq!(service_type(text).unwrap_err(), ServiceError::Type(text.to_owned()));
        }
    }

    #[test]
    fn a_service_is_checked_field_by_field() {
        let limits = Limits::default();
        let good = Service::new("ncm", "_remoted._tcp", "iPhone.local", 55109);
        assert_eq!(good.names(&limits).unwrap().instance.to_string(), "ncm._remoted._tcp.local");
        assert_eq!(Service { port: 0, ..good.clone() }.names(&limits).unwrap_err(), ServiceError::PortZero);
        let txt = good.clone().with_txt([vec![b'x'; 256]]);
        assert_eq!(txt.names(&limits).unwrap_err(), ServiceError::TxtString(256));
        let txt = good.clone().with_txt(vec![vec![b'x'; 255]; 6]);
        assert_eq!(txt.names(&limits).unwrap_err(), ServiceError::TxtTooLong { limit: 1300, got: 1536 });
        let many = good.with_addresses(vec![Ipv6Addr::LOCALHOST; 9]);
        assert_eq!(many.names(&limits).unwrap_err(), ServiceError::TooManyAddresses { limit: 8, got: 9 });
    }
}
