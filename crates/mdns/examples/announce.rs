//! Announces one instance on one link: `announce INTERFACE-INDEX INSTANCE TYPE HOST PORT ADDRESS [SECONDS]`.
#![allow(clippy::print_stdout)]

use std::time::Duration;

use iosmux_mdns::{
    Service,
    io::{AnnounceConfig, Announcer},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &str| arguments.next().ok_or(format!("{what} is missing"));
    let interface_index = next("an interface index")?.parse()?;
    let (instance, service_type) = (next("an instance such as ncm")?, next("a type such as _remoted._tcp")?);
    let (host, port) = (next("a host such as iPhone.local")?, next("a port")?.parse()?);
    let address = next("an address")?.parse()?;
    let seconds = next("a time").map_or(Ok(10), |text| text.parse())?;
    let service = Service::new(instance, service_type, host, port).with_addresses([address]);
    let announcer = Announcer::start(AnnounceConfig::new(interface_index, service))?;
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    println!("{:?}", announcer.counters());
    announcer.shutdown().await;
    Ok(())
}
