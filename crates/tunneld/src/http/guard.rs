//! Who may ask: the first thing on every endpoint of every face, the websocket included.
//!
//! The registry has no passwords, and a browser on the same computer runs code of strangers. What a browser sends on behalf of a page
//! has marks that no tool of ours sends, and a page that was rebound to this address by DNS still names its own host.

use std::net::{IpAddr, SocketAddr};

use axum::http::header::{HOST, ORIGIN, REFERER};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::Response;
use tokio::net::unix::UCred;

use super::answer;

/// Where a request came in.
#[derive(Debug, Clone)]
pub enum Peer {
    /// Over TCP.
    Tcp {
        /// Our end.
        local: SocketAddr,
        /// The other end.
        remote: SocketAddr,
    },
    /// Over the Unix socket, with what the kernel says of the other end and whether it may ask.
    Unix {
        /// The other end; none where the kernel does not say.
        who: Option<UCred>,
        /// Whether it may ask.
        admitted: bool,
    },
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It has an Origin: a page in a browser sent it.
    Origin,
    /// It has a Referer: a page in a browser sent it.
    Referer,
    /// Its Sec-Fetch-Site says that another site sent it.
    CrossSite,
    /// It names no host, or several, or not in a way that can be read.
    NoHost,
    /// It names a host that is not this registry: DNS was rebound, or the name has to be configured.
    ForeignHost,
    /// On the Unix socket: a user who may not ask.
    User,
}

impl Refusal {
    /// Every reason.
    pub const ALL: [Self; 6] =
        [Self::Origin, Self::Referer, Self::CrossSite, Self::NoHost, Self::ForeignHost, Self::User];

    /// The name under which it is counted, and the code in the answer.
    pub fn name(self) -> &'static str {
        match self {
            Self::Origin => "origin",
            Self::Referer => "referer",
            Self::CrossSite => "cross-site",
            Self::NoHost => "no-host",
            Self::ForeignHost => "foreign-host",
            Self::User => "user",
        }
    }

    fn message(self) -> &'static str {
        match self {
            Self::Origin => {
                "the request has an Origin header: a web page sent it, and pages may not use the registry"
            }
            Self::Referer => {
                "the request has a Referer header: a web page sent it, and pages may not use the registry"
            }
            Self::CrossSite => {
                "the request's Sec-Fetch-Site says that another site sent it, and other sites may not use the registry"
            }
            Self::NoHost => "the request names no host, or several, or one that can't be read",
            Self::ForeignHost => {
                "the request's Host is neither a loopback address, nor localhost, nor the address that the registry listens on"
            }
            Self::User => "this user may not use the registry's socket",
        }
    }

    fn next_step(self) -> &'static str {
        match self {
            Self::Origin | Self::Referer | Self::CrossSite => "ask from a program, without this header",
            Self::NoHost => "send one Host header, such as 127.0.0.1:49151",
            Self::ForeignHost => {
                "ask for 127.0.0.1, or add the name that you use to `hosts` in the configuration"
            }
            Self::User => {
                "become root or the daemon's user, or add the user or the group to the configuration"
            }
        }
    }

    /// The answer that it gets: 403 and a sentence.
    pub(super) fn response(self) -> Response {
        let code = format!("refused-{}", self.name());
        answer::error(StatusCode::FORBIDDEN, &code, self.message(), Some(self.next_step()))
    }
}

/// The names and addresses under which the registry is known, beside loopback and the connection's own address.
#[derive(Debug, Clone, Default)]
pub struct Hosts {
    /// Names, in any case, and addresses without brackets.
    pub names: Vec<String>,
}

impl Hosts {
    /// Whether a request may go on to a face.
    ///
    /// # Errors
    /// The first [`Refusal`] that applies.
    pub fn judge(&self, peer: &Peer, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        if let Peer::Unix { admitted: false, .. } = peer {
            return Err(Refusal::User);
        }
        if headers.contains_key(ORIGIN) {
            return Err(Refusal::Origin);
        }
        if headers.contains_key(REFERER) {
            return Err(Refusal::Referer);
        }
        let own = |site: &HeaderValue| matches!(site.as_bytes(), b"none" | b"same-origin");
        if !headers.get_all("sec-fetch-site").iter().all(own) {
            return Err(Refusal::CrossSite);
        }
        match peer {
            // A socket in the file system has no name that DNS could give away.
            Peer::Unix { .. } => Ok(()),
            Peer::Tcp { local, .. } => self.judge_host(local.ip(), uri, headers),
        }
    }

    fn judge_host(&self, local: IpAddr, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        let mut hosts = headers.get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else { return Err(Refusal::NoHost) };
        let host = Authority::try_from(host.as_bytes()).map_err(|_| Refusal::NoHost)?;
        // A request line with a whole URL overrides Host for some readers: both must be ours.
        for authority in [Some(&host), uri.authority()].into_iter().flatten() {
            if authority.port().is_none() && !authority.as_str().ends_with(authority.host()) {
                return Err(Refusal::NoHost);
            }
            if authority.as_str().contains('@') || !self.is_own(authority.host(), local) {
                return Err(Refusal::ForeignHost);
            }
        }
        Ok(())
    }

    fn is_own(&self, host: &str, local: IpAddr) -> bool {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        // Only what is an address for everybody: 127.1 or 0x7f000001 are names here, and foreign ones.
        let Ok(address) = bare.parse::<IpAddr>() else {
            return bare.eq_ignore_ascii_case("localhost")
                || self.names.iter().any(|name| name.eq_ignore_ascii_case(bare));
        };
        // To browsers ::ffff:127.0.0.1 is no loopback address: a page's requests to it have no Sec-Fetch-Site.
        if address != address.to_canonical() {
            return false;
        }
        let configured = || self.names.iter().any(|name| name.parse() == Ok(address));
        // Our own end is written that way where a socket for IPv6 takes IPv4 as well.
        address.is_loopback() || address == local.to_canonical() || configured()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(host: &str, more: &[(&'static str, &str)]) -> Result<(), Refusal> {
        let peer = Peer::Tcp {
            local: "192.0.2.7:49151".parse().unwrap(),
            remote: "192.0.2.9:40000".parse().unwrap(),
        };
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        for (name, value) in more {
            headers.append(*name, value.parse().unwrap());
        }
        Hosts { names: vec!["Lab-1".to_owned(), "fd00::7".to_owned()] }.judge(
            &peer,
            &Uri::from_static("/hello"),
            &headers,
        )
    }

    #[test]
    fn own_names_and_addresses_pass_with_and_without_port() {
        let own = [
            "127.0.0.1",
            "127.0.0.1:49151",
            "127.8.9.10:1",
            "[::1]",
            "[::1]:49151",
            "localhost",
            "LOCALHOST:80",
        ];
        let configured =
            ["lab-1", "LAB-1:49151", "192.0.2.7", "192.0.2.7:49151", "[FD00::7]:1", "[fd00:0::7]"];
        for host in own.iter().chain(&configured) {
            assert_eq!(judge(host, &[]), Ok(()), "{host}");
        }
    }

    #[test]
    fn other_names_and_addresses_are_refused() {
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "127.1",
            "2130706433",
            "0x7f.1",
            "192.0.2.8",
            "0.0.0.0",
            "[::]",
            "localhost.",
            "evil.example:49151",
            "[fe80::1]",
            "lab-12",
            "0",
            "[::127.0.0.1]",
        ] {
            assert_eq!(judge(host, &[]), Err(Refusal::ForeignHost), "{host}");
        }
        for host in ["localhost@evil.example", "evil.example@localhost"] {
            assert_eq!(judge(host, &[]), Err(Refusal::ForeignHost), "{host}");
        }
        for host in ["", "a b", "localhost/x", "[::1", "localhost:99999x"] {
            assert_eq!(judge(host, &[]), Err(Refusal::NoHost), "{host:?}");
        }
    }

    #[test]
    fn an_ipv4_address_written_as_ipv6_is_foreign_even_if_it_is_ours() {
        for host in
            ["[::ffff:127.0.0.1]", "[::FFFF:127.0.0.1]:49151", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:7f00:1]:1"]
        {
            assert_eq!(judge(host, &[]), Err(Refusal::ForeignHost), "{host}");
        }
        assert_eq!(judge("[::ffff:192.0.2.7]", &[]), Err(Refusal::ForeignHost));
    }

    #[test]
    fn our_end_of_a_socket_for_both_families_is_known_by_its_ipv4_address() {
        let judge_at = |local: &str, host: &str| {
            Hosts::default().judge_host(local.parse().unwrap(), &Uri::from_static("/"), &{
                let mut headers = HeaderMap::new();
                headers.insert(HOST, host.parse().unwrap());
                headers
            })
        };
        assert_eq!(judge_at("::ffff:192.0.2.7", "192.0.2.7:49151"), Ok(()));
        assert_eq!(judge_at("::ffff:127.0.0.1", "127.0.0.1:49151"), Ok(()));
        for host in ["[::ffff:192.0.2.7]", "[::ffff:127.0.0.1]", "192.0.2.8"] {
            assert_eq!(judge_at("::ffff:192.0.2.7", host), Err(Refusal::ForeignHost), "{host}");
        }
    }

    #[test]
    fn two_hosts_are_none() {
        assert_eq!(judge("localhost", &[("host", "localhost")]), Err(Refusal::NoHost));
    }

    #[test]
    fn a_whole_url_in_the_request_line_is_judged_too() {
        let peer = Peer::Tcp {
            local: "127.0.0.1:49151".parse().unwrap(),
            remote: "127.0.0.1:40000".parse().unwrap(),
        };
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("localhost"));
        let judged = |uri| Hosts::default().judge(&peer, &Uri::from_static(uri), &headers);
        assert_eq!(judged("http://127.0.0.1:49151/"), Ok(()));
        assert_eq!(judged("http://evil.example/"), Err(Refusal::ForeignHost));
    }

    #[test]
    fn every_mark_of_a_browser_is_refused() {
        let refused = |name, value| judge("localhost", &[(name, value)]).unwrap_err();
        for value in ["http://localhost", "null", ""] {
            assert_eq!(refused("origin", value), Refusal::Origin);
            assert_eq!(refused("referer", value), Refusal::Referer);
        }
        for value in ["cross-site", "same-site", "", "None", "same-origin, cross-site"] {
            assert_eq!(refused("sec-fetch-site", value), Refusal::CrossSite);
        }
        assert_eq!(judge("localhost", &[("sec-fetch-site", "none")]), Ok(()));
        assert_eq!(judge("localhost", &[("sec-fetch-site", "same-origin")]), Ok(()));
        let both = [("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")];
        assert_eq!(judge("localhost", &both), Err(Refusal::CrossSite));
    }

    #[test]
    fn on_the_socket_any_host_passes_but_no_page_and_no_stranger() {
        let judge = |admitted, name: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static("anything"));
            Hosts::default().judge(&Peer::Unix { who: None, admitted }, &Uri::from_static("/"), &headers)
        };
        assert_eq!(judge(true, "host"), Ok(()));
        assert_eq!(judge(true, "origin"), Err(Refusal::Origin));
        assert_eq!(judge(true, "referer"), Err(Refusal::Referer));
        assert_eq!(judge(true, "sec-fetch-site"), Err(Refusal::CrossSite));
        assert_eq!(judge(false, "host"), Err(Refusal::User));
    }
}
