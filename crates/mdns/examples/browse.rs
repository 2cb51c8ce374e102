//! Browses on one link and prints each event: `browse INTERFACE-INDEX TYPE [one-shot|shared|both] [SECONDS]`.
#![allow(clippy::print_stdout)]

use std::time::Duration;

use iosmux_mdns::{
    browser::BrowseMode,
    io::{BrowseConfig, Browser},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let interface_index = arguments.next().ok_or("an interface index is missing")?.parse()?;
    let service_type = arguments.next().ok_or("a service type such as _remoted._tcp is missing")?;
    let mode = match arguments.next().as_deref() {
        Some("one-shot") => BrowseMode::OneShot,
        Some("shared") => BrowseMode::Shared,
        Some("both") | None => BrowseMode::Both,
        Some(other) => return Err(format!("one-shot, shared or both was expected, {other} came").into()),
    };
    let seconds = arguments.next().map_or(Ok(10), |text| text.parse())?;
    let mut browser =
        Browser::start(BrowseConfig { mode, ..BrowseConfig::new(interface_index, service_type) })?;
    let events = async {
        while let Some(event) = browser.next().await {
            println!("{event:?}");
        }
    };
    // The end of the time is the ordinary end.
    let _ = tokio::time::timeout(Duration::from_secs(seconds), events).await;
    println!("{:?}", browser.counters());
    Ok(())
}
