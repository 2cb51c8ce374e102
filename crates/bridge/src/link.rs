//! Links of this network namespace: bridges, ports, and what keeps frames between ports from passing.
//!
//! | file | what |
//! |---|---|
//! | `netlink` | links by rtnetlink: the one place that knows it |
//! | `netfilter` | br_netfilter, and which chains drop |

mod netfilter;
mod netlink;

pub use netlink::{Links, Watch};
