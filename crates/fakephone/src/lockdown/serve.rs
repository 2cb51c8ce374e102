//! Drives one lockdown connection.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::frame::{FrameError, encode, read_message};
use super::session::{LockdownSession, Role, Step};
use crate::not_sourced::{Gaps, SHIM_SERVICE_PAYLOAD};

/// Serves lockdownd or a shim service until the peer closes or no source tells how it goes on.
///
/// The check-in must be whole after `deadline`, later messages that long after their first byte.
///
/// # Errors
/// Every [`FrameError`].
pub async fn serve<S>(
    mut stream: S,
    role: Role,
    service: &str,
    gaps: &Gaps,
    deadline: Duration,
) -> Result<(), FrameError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut session = LockdownSession::new(role);
    while !session.is_opaque() {
        let message = if session.is_checked_in() {
            read_message(&mut stream, deadline).await?
        } else {
            let message = read_message(&mut stream, deadline);
            timeout(deadline, message).await.map_err(|_| FrameError::Deadline(deadline))??
        };
        let Some(message) = message else { return Ok(()) };
        match session.on(&message) {
            Step::Answer(answers) => {
                for answer in answers {
                    stream.write_all(&encode(answer)?).await?;
                }
                stream.flush().await?;
            }
            Step::Stop(gap) => {
                gaps.count(gap, service);
                return Ok(());
            }
        }
    }
    // The service's own protocol: whatever the peer says first, the answer is not known.
    if stream.read(&mut [0]).await? > 0 {
        gaps.count(SHIM_SERVICE_PAYLOAD, service);
    }
    Ok(())
}
