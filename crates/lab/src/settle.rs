//! Waiting until the connections of a namespace have ended.

use std::fs;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::error::LabError;

const DEADLINE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(5);
/// States in which a socket keeps nothing waiting. Source: Linux, include/net/tcp_states.h.
const TIME_WAIT: &str = "06";
const LISTEN: &str = "0A";

/// Waits until the TCP connections of the calling thread's namespace have ended.
pub(crate) async fn connections() -> Result<(), LabError> {
    let ended = async {
        while open(&fs::read_to_string("/proc/thread-self/net/tcp6").map_err(LabError::Connections)?) > 0 {
            sleep(PAUSE).await;
        }
        Ok(())
    };
    timeout(DEADLINE, ended).await.unwrap_or(Err(LabError::ConnectionsOpen(DEADLINE)))
}

/// How many connections of the kernel's table have not ended: the fourth column is the state (proc_net_tcp(5)).
fn open(table: &str) -> usize {
    let states = table.lines().skip(1).filter_map(|line| line.split_whitespace().nth(3));
    states.filter(|state| ![TIME_WAIT, LISTEN].contains(state)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_connections_that_have_not_ended_count() {
        let line =
            |state: &str| format!("   0: 00:0035 00:0000 {state} 00000000:00000000 00:00000000 0 0 0 1\n");
        let head = "  sl  local_address remote_address st tx_queue rx_queue tr tm->when retrnsmt   uid\n";
        let table =
            |states: &[&str]| states.iter().fold(head.to_owned(), |table, state| table + &line(state));
        assert_eq!(open(&table(&[LISTEN, TIME_WAIT])), 0);
        assert_eq!(open(&table(&[LISTEN, "01", "04"])), 2);
    }
}
