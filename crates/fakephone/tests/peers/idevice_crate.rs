//! The idevice crate reads the phone, in this program.

use idevice::rsd::RsdHandshake;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::process::DEADLINE;
use crate::stage::{Ports, Stage, assert_ports, catalogue, properties};

fn handshake(stage: &Stage, port: u16) -> RsdHandshake {
    let address = stage.socket(port);
    stage.host().block_on(move || async move {
        let conversation = async {
            let stream = TcpStream::connect(address).await.unwrap();
            RsdHandshake::new(stream).await.unwrap()
        };
        timeout(DEADLINE, conversation).await.expect("no Handshake in time")
    })
}

/// The ports that the phone has given to its services, for other clients to be compared with.
pub(crate) fn ports(stage: &Stage) -> Ports {
    let services = handshake(stage, stage.rsd_port()).services;
    services.into_iter().map(|(name, service)| (name, service.port)).collect()
}

#[test]
fn its_rsd_handshake_reads_every_property_and_every_service() {
    let stage = Stage::shared();
    let read = handshake(stage, stage.rsd_port());
    let captured = catalogue();
    assert_eq!(read.uuid.to_lowercase(), stage.ready["uuid"].as_str().unwrap());
    assert_eq!(Some(read.protocol_version as u64), captured["MessagingProtocolVersion"].as_u64());
    let mut shown: Vec<(String, Value)> =
        read.properties.iter().map(|(key, value)| (key.clone(), json(value))).collect();
    shown.sort_by(|a, b| a.0.cmp(&b.0));
    let mut expected: Vec<(String, Value)> = properties().into_iter().collect();
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(shown, expected);
    assert_ports(&read.services.iter().map(|(name, service)| (name.clone(), service.port)).collect());
    for (name, service) in &read.services {
        let entry = &captured["Services"][name];
        let more = &entry["Properties"];
        assert_eq!(service.entitlement, entry["Entitlement"], "{name}");
        assert_eq!(service.uses_remote_xpc, more["UsesRemoteXPC"].as_bool().unwrap_or(false), "{name}");
        assert_eq!(service.service_version, more["ServiceVersion"].as_i64(), "{name}");
        let features = more["Features"].as_array().cloned();
        assert_eq!(
            service.features.clone().map(|list| list.into_iter().map(Value::from).collect()),
            features,
            "{name}"
        );
    }
}

#[test]
fn the_announced_port_tells_the_same_as_the_fixed_one() {
    let stage = Stage::shared();
    let announced = handshake(stage, stage.announced_port());
    assert_eq!(announced.uuid.to_lowercase(), stage.ready["uuid"].as_str().unwrap());
    assert_ports(&announced.services.into_iter().map(|(name, service)| (name, service.port)).collect());
}

fn json(value: &plist::Value) -> Value {
    match value {
        plist::Value::Boolean(value) => (*value).into(),
        plist::Value::String(value) => value.as_str().into(),
        plist::Value::Integer(value) => value.as_unsigned().unwrap().into(),
        other => panic!("no property of the capture is {other:?}"),
    }
}
