//! TLS 1.2 with a pre-shared key, both ends. Source: protocol.md §5.8; RFC 4279.

use super::error::{TlsError, TunnelError};
use super::suite::Suite;
use super::tls_link::{TlsLink, Wire};
use crate::parameters::Role;
use crate::psk::Psk;
use openssl::error::ErrorStack;
use openssl::ssl::{
    self, ErrorCode, Ssl, SslContext, SslContextBuilder, SslMethod, SslMode, SslOptions, SslSessionCacheMode,
    SslStream, SslVersion,
};
use std::future::poll_fn;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::net::TcpStream;

/// Reasons in OpenSSL's error queue that mean that the keys differ: a record that can't be opened, at this end or, as an
/// alert, at the other. Source: OpenSSL's include/openssl/sslerr.h; RFC 5246 §7.2.2.
const WRONG_KEY: [i32; 4] = [281, 1020, 1021, 1051];
/// No common suite, at this end or at the other. Source: the same.
const NO_COMMON_SUITE: [i32; 3] = [193, 1040, 181];
/// Not TLS at all, or not 1.2. Source: the same.
const NOT_TLS: [i32; 7] = [156, 258, 267, 1070, 198, 155, 244];

/// Opens TLS as `role` over a connected stream: the host is the client.
pub(crate) async fn open(
    stream: TcpStream,
    role: Role,
    psk: Psk,
    suites: &[Suite],
) -> Result<(TlsLink, Suite), TunnelError> {
    let library = |during| move |error: ErrorStack| TlsError::Library { during, detail: error.to_string() };
    let context = context(role, psk, suites).map_err(library("setup"))?;
    let ssl = Ssl::new(&context).map_err(library("setup"))?;
    let mut tls = SslStream::new(ssl, Wire::new(stream)).map_err(library("setup"))?;
    poll_fn(|cx| poll_handshake(&mut tls, role, cx)).await.map_err(|failure| failure.explain(suites))?;
    let name = tls.ssl().current_cipher().map_or("none", |cipher| cipher.name());
    let suite = Suite::by_name(name).filter(|suite| suites.contains(suite));
    let suite = suite.ok_or_else(|| TlsError::StrangeSuite(name.to_owned()))?;
    Ok((TlsLink::new(tls), suite))
}

/// Builds the context. The key is given out once and wiped: there is one handshake per context.
fn context(role: Role, psk: Psk, suites: &[Suite]) -> Result<SslContext, ErrorStack> {
    let method = match role {
        Role::Host => SslMethod::tls_client(),
        Role::Device => SslMethod::tls_server(),
    };
    let mut builder = SslContextBuilder::new(method)?;
    builder.set_min_proto_version(Some(SslVersion::TLS1_2))?;
    builder.set_max_proto_version(Some(SslVersion::TLS1_2))?;
    let names: Vec<&str> = suites.iter().map(|suite| suite.name()).collect();
    // A system's configuration may ask for more than the suites that phones have.
    builder.set_security_level(1);
    builder.set_cipher_list(&names.join(":"))?;
    builder.set_options(
        SslOptions::NO_RENEGOTIATION
            | SslOptions::NO_TICKET
            | SslOptions::NO_COMPRESSION
            | SslOptions::CIPHER_SERVER_PREFERENCE,
    );
    // One record per packet: a write is never cut, and after a full socket it goes on from where it was.
    builder.set_mode(SslMode::ACCEPT_MOVING_WRITE_BUFFER);
    builder.set_session_cache_mode(SslSessionCacheMode::OFF);
    let key = Mutex::new(Some(psk));
    let give = move |out: &mut [u8]| {
        let key = key.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (Some(key), Some((start, _))) = (key, out.split_first_chunk_mut()) else { return 0 };
        *start = *key.expose();
        start.len()
    };
    match role {
        Role::Host => builder.set_psk_client_callback(move |_, _hint, identity, out| {
            // The identity is empty; the buffer holds a C string. Source: protocol.md §5.8.
            if let Some(end) = identity.first_mut() {
                *end = 0;
            }
            Ok(give(out))
        }),
        Role::Device => builder.set_psk_server_callback(move |_, _identity, out| Ok(give(out))),
    }
    Ok(builder.build())
}

fn poll_handshake(tls: &mut SslStream<Wire>, role: Role, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
    loop {
        let step = match role {
            Role::Host => tls.connect(),
            Role::Device => tls.accept(),
        };
        let Err(error) = step else { return Poll::Ready(Ok(())) };
        let waited = match error.code() {
            ErrorCode::WANT_READ => ready!(tls.get_mut().poll_fill(cx)).map(|count| count > 0),
            ErrorCode::WANT_WRITE => ready!(tls.get_mut().poll_writable(cx)).map(|()| true),
            _ => return Poll::Ready(Err(Failure::Tls(error))),
        };
        match waited {
            Ok(true) => {}
            Ok(false) => return Poll::Ready(Err(Failure::Closed)),
            Err(source) => return Poll::Ready(Err(Failure::Socket(source))),
        }
    }
}

/// How a handshake ended badly.
enum Failure {
    Closed,
    Socket(std::io::Error),
    Tls(ssl::Error),
}

impl Failure {
    fn explain(self, ours: &[Suite]) -> TunnelError {
        match self {
            Self::Closed => TlsError::Closed.into(),
            Self::Socket(source) if source.kind() == std::io::ErrorKind::ConnectionReset => {
                TlsError::Closed.into()
            }
            Self::Socket(source) => TunnelError::Connection { during: "the TLS handshake", source },
            Self::Tls(error) => tls_error(&error, ours).into(),
        }
    }
}

fn tls_error(error: &ssl::Error, ours: &[Suite]) -> TlsError {
    let reasons: Vec<i32> = error
        .ssl_error()
        .map(|stack| stack.errors().iter().map(openssl::error::Error::reason_code).collect())
        .unwrap_or_default();
    let detail = describe(error);
    let any = |known: &[i32]| reasons.iter().any(|reason| known.contains(reason));
    if any(&WRONG_KEY) {
        TlsError::WrongKey { detail }
    } else if any(&NO_COMMON_SUITE) {
        TlsError::NoCommonSuite { ours: ours.to_vec(), detail }
    } else if any(&NOT_TLS) {
        TlsError::NotTls { detail }
    } else {
        TlsError::Library { during: "the handshake", detail }
    }
}

/// The library's reasons, without its source files and numbers.
pub(crate) fn describe(error: &ssl::Error) -> String {
    let stack = error.ssl_error().map(ErrorStack::errors).unwrap_or_default();
    let reasons: Vec<&str> = stack.iter().filter_map(openssl::error::Error::reason).collect();
    match error.io_error() {
        _ if !reasons.is_empty() => reasons.join(", "),
        Some(source) => source.to_string(),
        None => format!("code {}", error.code().as_raw()),
    }
}
