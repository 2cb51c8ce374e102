//! Phones, as they are now.

use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::model::{Device, Now};
use super::{Here, Udid, unknown};
use crate::http::answer::{Failure, error, json};
use crate::http::context::Context;
use crate::model;

/// All phones.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Devices {
    /// `iosmux-tunneld/devices/1`.
    schema: &'static str,
    /// Rises with every change: two answers with the same one tell the same.
    revision: u64,
    devices: Vec<Device>,
}

/// One phone.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OneDevice {
    /// `iosmux-tunneld/device/1`.
    schema: &'static str,
    device: Device,
}

/// What a phone offers inside of its tunnel.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CatalogueOf {
    /// `iosmux-tunneld/catalogue/1`.
    schema: &'static str,
    udid: String,
    generation: u64,
    /// The phone's Handshake: its UUID, its properties, and its services with their ports.
    #[schema(value_type = Object)]
    catalogue: serde_json::Value,
}

fn shown(context: &Context, device: &model::Device, now: Now) -> Device {
    // Nobody shows a token here: whoever holds it is told.
    let lease = context.held_by_other(&device.identity.udid, &HeaderMap::new());
    Device::new(device, lease, now)
}

/// All phones, with what each is waiting for.
#[utoipa::path(get, path = "/devices", tag = "devices", responses(
    (status = 200, body = Devices),
    (status = 403, body = Failure, description = "A web page or a stranger asks"),
))]
pub(super) async fn list(Shared(context): Here) -> Response {
    let (snapshot, now) = (context.fleet.snapshot(), Now::read());
    let devices = snapshot.devices.iter().map(|device| shown(&context, device, now)).collect();
    json(
        StatusCode::OK,
        &Devices { schema: "iosmux-tunneld/devices/1", revision: snapshot.revision, devices },
    )
}

/// One phone, by its UDID with or without dash.
#[utoipa::path(get, path = "/devices/{udid}", tag = "devices", params(("udid" = String, Path)), responses(
    (status = 200, body = OneDevice),
    (status = 400, body = Failure, description = "The UDID is none"),
    (status = 403, body = Failure, description = "A web page or a stranger asks"),
    (status = 404, body = Failure, description = "No such phone is here"),
))]
pub(super) async fn one(Shared(context): Here, Udid(udid): Udid) -> Response {
    let snapshot = context.fleet.snapshot();
    let Some(device) = snapshot.device(&udid) else { return unknown(&udid) };
    let device = shown(&context, device, Now::read());
    json(StatusCode::OK, &OneDevice { schema: "iosmux-tunneld/device/1", device })
}

/// What a phone offers inside of its tunnel: properties and services with their ports.
#[utoipa::path(get, path = "/devices/{udid}/catalogue", tag = "devices", params(("udid" = String, Path)), responses(
    (status = 200, body = CatalogueOf),
    (status = 400, body = Failure, description = "The UDID is none"),
    (status = 403, body = Failure, description = "A web page or a stranger asks"),
    (status = 404, body = Failure, description = "No such phone is here, or it has no tunnel whose services are known"),
))]
pub(super) async fn catalogue(Shared(context): Here, Udid(udid): Udid) -> Response {
    let snapshot = context.fleet.snapshot();
    let Some(device) = snapshot.device(&udid) else { return unknown(&udid) };
    let Some(catalogue) = &device.catalogue else {
        let message =
            format!("the services of {} are not known: it is {}", device.identity.udid, device.state.name());
        let next = "see its reason and next step in /v1/devices, or POST its tunnel to wait for it";
        return error(StatusCode::NOT_FOUND, "no-catalogue", &message, Some(next));
    };
    let answer = CatalogueOf {
        schema: "iosmux-tunneld/catalogue/1",
        udid: device.identity.udid.clone(),
        generation: device.generation,
        catalogue: catalogue.to_json(),
    };
    json(StatusCode::OK, &answer)
}
