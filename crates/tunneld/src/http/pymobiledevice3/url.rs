//! Addresses of other registries, in the one form that everything here uses.

use super::python::repr;

/// Where tunneld listens when nobody says otherwise. Source: protocol.md §6.
const DEFAULT_PORT: u16 = 49151;

/// Makes `http://HOST:PORT` of HOST, HOST:PORT and `http://HOST[:PORT]`, or says in pymobiledevice3's words why not.
pub(crate) fn normalize(url: &str) -> Result<String, String> {
    let candidate = url.trim();
    let candidate =
        if candidate.contains("//") { candidate.to_owned() } else { format!("http://{candidate}") };
    let candidate: String =
        candidate.chars().filter(|letter| !matches!(letter, '\t' | '\r' | '\n')).collect();
    let (scheme, rest) = scheme(&candidate);
    let (authority, rest) = match rest.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len())),
        None => ("", rest),
    };
    if authority.contains('[') != authority.contains(']') {
        return Err("Invalid IPv6 URL".to_owned());
    }
    if scheme != "http" {
        return Err(format!(
            "unsupported upstream scheme {} in {}: the /connect relay speaks plaintext HTTP, so only http:// upstreams are supported",
            repr(&scheme),
            repr(url)
        ));
    }
    if !is_bare(rest) {
        return Err(format!("upstream {} must be a bare host[:port], carrying no path or query", repr(url)));
    }
    let (host, port) = host_and_port(authority);
    let Some(port) = port else { return Err(format!("upstream {} has an invalid port", repr(url))) };
    if host.is_empty() {
        return Err(format!("upstream {} names no host", repr(url)));
    }
    Ok(if host.contains(':') { format!("http://[{host}]:{port}") } else { format!("http://{host}:{port}") })
}

/// The scheme in small letters, and what follows its colon.
fn scheme(url: &str) -> (String, &str) {
    let (scheme, rest) = url.split_once(':').unwrap_or(("", url));
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    let is_scheme = scheme.bytes().next().is_some_and(|first| first.is_ascii_alphabetic());
    if is_scheme && scheme.bytes().all(letter) {
        (scheme.to_ascii_lowercase(), rest)
    } else {
        (String::new(), url)
    }
}

/// Whether nothing but a slash follows the host; empty queries, fragments and path parameters are overlooked there.
fn is_bare(rest: &str) -> bool {
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path = path.split_once(';').map_or(path, |(path, _)| path);
    fragment.is_empty() && query.is_empty() && matches!(path, "" | "/")
}

/// The host in small letters without brackets, and the port; none when that is no port.
fn host_and_port(authority: &str) -> (String, Option<u16>) {
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (host, port) = match authority.split_once('[') {
        Some((_, rest)) => {
            let (host, rest) = rest.split_once(']').unwrap_or((rest, ""));
            (host, rest.split_once(':').map_or("", |(_, port)| port))
        }
        None => authority.split_once(':').unwrap_or((authority, "")),
    };
    let port = match port.parse::<u16>() {
        _ if port.is_empty() => Some(DEFAULT_PORT),
        Ok(_) if !port.bytes().all(|byte| byte.is_ascii_digit()) => None,
        Ok(0) => Some(DEFAULT_PORT),
        port => port.ok(),
    };
    // An address's zone is the name of an interface: its case counts.
    let host = match host.split_once('%') {
        Some((host, zone)) => format!("{}%{zone}", host.to_lowercase()),
        None => host.to_lowercase(),
    };
    (host, port)
}

/// The parts of what [`normalize`] made.
pub(super) fn parts(url: &str) -> Option<(&str, u16)> {
    let (host, port) = url.strip_prefix("http://")?.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Some((host, port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_take_one_form() {
        for (url, normal) in [
            ("lab", "http://lab:49151"),
            (" Lab-1:80 ", "http://lab-1:80"),
            ("http://lab/", "http://lab:49151"),
            ("HTTP://LAB:0", "http://lab:49151"),
            ("[::1]:7", "http://[::1]:7"),
            ("http://u:p@h:1/?#", "http://h:1"),
            ("http://[fe80::A%Eth0]", "http://[fe80::a%Eth0]:49151"),
            ("http://x;p", "http://x;p:49151"),
        ] {
            assert_eq!(normalize(url).as_deref(), Ok(normal), "{url}");
            let (host, port) = parts(normal).unwrap();
            assert!(!host.contains('[') && port > 0);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_in_words() {
        let urls = [
            "https://x",
            "//x",
            "http://x/y",
            "http://x?q",
            "http://x/#f",
            "http://x:99999",
            "http://x:+1",
            "::1",
            "",
            "http://",
            "http://[::1",
            "a'b:x",
        ];
        let sentences: Vec<String> = urls.iter().map(|url| normalize(url).unwrap_err()).collect();
        insta::assert_snapshot!(sentences.join("\n"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_and_what_is_made_is_final(url in "\\PC{0,24}|[a-z:/@%\\[\\]?#.0-9]{0,24}") {
            if let Ok(normal) = normalize(&url) {
                prop_assert!(parts(&normal).is_some(), "{}", normal);
            }
        }
    }
}
