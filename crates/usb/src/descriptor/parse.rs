//! Reading descriptors. Each one is bounded by its own bLength and by what came; counts that a device gives are not believed.

use super::cdc::Functional;
use super::{
    CONFIGURATION, CS_INTERFACE, Configuration, DEVICE, DEVICE_LENGTH, DescriptorError, Descriptors, Device,
    ENDPOINT, Endpoint, INTERFACE, MAX_CONFIGURATION, MAX_CONFIGURATIONS, Setting,
};
use crate::bytes::{u8_at, u16_at};

/// bLength of a configuration descriptor. Source: USB 2.0 table 9-10.
const CONFIGURATION_LENGTH: u8 = 9;
/// bLength of an interface descriptor. Source: USB 2.0 table 9-12.
const INTERFACE_LENGTH: u8 = 9;
/// bLength of an endpoint descriptor, at least. Source: USB 2.0 table 9-13.
const ENDPOINT_LENGTH: u8 = 7;
/// Communications interface class. Source: CDC 1.2 table 14.
const CDC_CONTROL: u8 = 2;

/// One descriptor and where it began.
struct Raw<'a> {
    at: usize,
    kind: u8,
    bytes: &'a [u8],
}

impl Raw<'_> {
    /// Refuses it when it is shorter than its type is.
    fn at_least(&self, what: &'static str, least: u8) -> Result<(), DescriptorError> {
        let length = u8::try_from(self.bytes.len()).unwrap_or(u8::MAX);
        if length < least {
            return Err(DescriptorError::Short { at: self.at, what, length, least });
        }
        Ok(())
    }

    /// A byte of it; those within the length that was checked are there.
    fn u8(&self, at: usize) -> u8 {
        u8_at(self.bytes, at).unwrap_or_default()
    }

    /// Two bytes of it.
    fn u16(&self, at: usize) -> u16 {
        u16_at(self.bytes, at).unwrap_or_default()
    }
}

/// The descriptor at `at`.
fn next<'a>(bytes: &'a [u8], at: usize, what: &'static str) -> Result<Raw<'a>, DescriptorError> {
    let rest = bytes.get(at..).unwrap_or_default();
    let (Some(length), Some(kind)) = (u8_at(rest, 0), u8_at(rest, 1)) else {
        return Err(DescriptorError::Truncated { at, what, wanted: 2, left: rest.len() });
    };
    if length < 2 {
        return Err(DescriptorError::Short { at, what, length, least: 2 });
    }
    let wanted = usize::from(length);
    let whole =
        rest.get(..wanted).ok_or(DescriptorError::Truncated { at, what, wanted, left: rest.len() })?;
    Ok(Raw { at, kind, bytes: whole })
}

impl Device {
    /// From the bytes of a device descriptor; what follows is not looked at.
    pub fn parse(bytes: &[u8]) -> Result<Device, DescriptorError> {
        let what = "device descriptor";
        let raw = next(bytes, 0, what)?;
        if raw.kind != DEVICE {
            return Err(DescriptorError::Type { at: 0, what, kind: raw.kind });
        }
        raw.at_least(what, 18)?;
        Ok(Device {
            usb: raw.u16(2),
            class: [raw.u8(4), raw.u8(5), raw.u8(6)],
            max_packet: raw.u8(7),
            vendor: raw.u16(8),
            product: raw.u16(10),
            release: raw.u16(12),
            manufacturer_string: raw.u8(14),
            product_string: raw.u8(15),
            serial_string: raw.u8(16),
            configurations: raw.u8(17),
        })
    }
}

impl Configuration {
    /// From the bytes of a configuration, wTotalLength of them; what follows is not looked at.
    pub fn parse(bytes: &[u8]) -> Result<Configuration, DescriptorError> {
        Configuration::parse_at(bytes, 0).map(|(configuration, _)| configuration)
    }

    /// The configuration at `start`, and where it ends.
    fn parse_at(bytes: &[u8], start: usize) -> Result<(Configuration, usize), DescriptorError> {
        let what = "configuration";
        let head = next(bytes, start, what)?;
        if head.kind != CONFIGURATION {
            return Err(DescriptorError::Type { at: start, what, kind: head.kind });
        }
        head.at_least(what, CONFIGURATION_LENGTH)?;
        let wanted = usize::from(head.u16(2));
        if wanted > MAX_CONFIGURATION {
            return Err(DescriptorError::TooMany { at: start, what: "bytes", most: MAX_CONFIGURATION });
        }
        let end = start.saturating_add(wanted.max(head.bytes.len()));
        let left = bytes.len().saturating_sub(start);
        let whole = bytes.get(..end).ok_or(DescriptorError::Truncated { at: start, what, wanted, left })?;
        let mut configuration = Configuration {
            value: head.u8(5),
            name_string: head.u8(6),
            attributes: head.u8(7),
            max_power: head.u8(8),
            settings: Vec::new(),
        };
        let mut at = start.saturating_add(head.bytes.len());
        while at < end {
            let raw = next(whole, at, "descriptor")?;
            configuration.take(&raw)?;
            at = at.saturating_add(raw.bytes.len());
        }
        Ok((configuration, end))
    }

    /// Takes the next descriptor in it.
    fn take(&mut self, raw: &Raw<'_>) -> Result<(), DescriptorError> {
        match (raw.kind, self.settings.last_mut()) {
            (INTERFACE, _) => {
                raw.at_least("interface", INTERFACE_LENGTH)?;
                self.settings.push(Setting {
                    interface: raw.u8(2),
                    alternate: raw.u8(3),
                    class: raw.u8(5),
                    subclass: raw.u8(6),
                    protocol: raw.u8(7),
                    name_string: raw.u8(8),
                    endpoints: Vec::new(),
                    functional: Vec::new(),
                });
            }
            (ENDPOINT, Some(setting)) => {
                raw.at_least("endpoint", ENDPOINT_LENGTH)?;
                setting.endpoints.push(Endpoint {
                    address: raw.u8(2),
                    attributes: raw.u8(3),
                    max_packet: raw.u16(4),
                    interval: raw.u8(6),
                });
            }
            (ENDPOINT, None) => {
                return Err(DescriptorError::Type { at: raw.at, what: "interface", kind: raw.kind });
            }
            (CS_INTERFACE, Some(setting)) if setting.class == CDC_CONTROL => {
                setting.functional.push(Functional::read(raw.bytes));
            }
            // Associations, class descriptors of PTP, HID and audio: nothing of ours is in them.
            _ => {}
        }
        Ok(())
    }
}

impl Descriptors {
    /// From the bytes of sysfs' file `descriptors`.
    pub fn parse(bytes: &[u8]) -> Result<Descriptors, DescriptorError> {
        let device = Device::parse(bytes)?;
        let mut configurations = Vec::new();
        let mut at = u8_at(bytes, 0).map_or(DEVICE_LENGTH, usize::from);
        while at < bytes.len() {
            if configurations.len() >= MAX_CONFIGURATIONS {
                return Err(DescriptorError::TooMany {
                    at,
                    what: "configurations",
                    most: MAX_CONFIGURATIONS,
                });
            }
            let (configuration, end) = Configuration::parse_at(bytes, at)?;
            configurations.push(configuration);
            at = end;
        }
        Ok(Descriptors { device, configurations })
    }
}
