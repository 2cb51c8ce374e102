//! The daemon that makes a phone on the cable a port of a bridge: layer 2 only, no tunnels, no pairing.

pub mod ports;
