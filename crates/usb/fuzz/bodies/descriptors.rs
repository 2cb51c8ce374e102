//! What must hold for any bytes given as descriptors. Shared by the fuzz target and the unit tier's seeded run.

use iosmux_usb::descriptor::{Endpoint, MAX_CONFIGURATION};
use iosmux_usb::{Configuration, Descriptors, Device, Mode, NcmFunction};

/// What the bytes were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Descriptors with a private function.
    Private,
    /// Descriptors without one.
    Plain,
    /// None.
    Bad,
}

/// Reads the bytes and checks what came out.
pub(crate) fn descriptors(bytes: &[u8]) -> Verdict {
    // A configuration alone is what GET_DESCRIPTOR brings.
    if let Ok(configuration) = Configuration::parse(bytes) {
        check(&configuration);
    }
    match Descriptors::parse(bytes) {
        Ok(descriptors) => {
            assert_eq!(
                Device::parse(&descriptors.device.to_bytes()),
                Ok(descriptors.device),
                "a device reads back"
            );
            descriptors.configurations.iter().for_each(check);
            let _ = Mode::guess(&descriptors);
            match descriptors.ncm_configuration() {
                Some((configuration, function)) => {
                    private(configuration, &function);
                    let others =
                        || descriptors.configurations.iter().filter(|one| one.private_function().is_some());
                    assert!(configuration.has_usbmux() || !others().any(Configuration::has_usbmux));
                    Verdict::Private
                }
                None => Verdict::Plain,
            }
        }
        Err(error) => {
            assert!(error.to_string().len() < 200, "an error repeats nothing of what came");
            Verdict::Bad
        }
    }
}

/// What makes a function private and usable, told from the descriptors alone.
fn private(configuration: &Configuration, function: &NcmFunction) {
    let silent = |endpoint: &Endpoint| endpoint.address & 0x80 == 0 || endpoint.attributes & 3 != 3;
    let mut settings = configuration.settings.iter();
    assert!(
        settings.any(|one| {
            (one.interface, one.alternate) == (function.control, 0)
                && (one.class, one.subclass) == (2, 0x0d)
                && one.endpoints.iter().all(silent)
        }),
        "its control interface notifies of nothing"
    );
    let mut settings = configuration.settings.iter();
    assert!(
        settings.any(|one| {
            (one.interface, one.alternate, one.class) == (function.data, function.alternate, 10)
                && [function.bulk_in, function.bulk_out].iter().all(|bulk| one.endpoints.contains(bulk))
        }),
        "one setting of its data interface has both endpoints"
    );
}

fn check(configuration: &Configuration) {
    // An interface has nine bytes, an endpoint seven: nothing is made of less.
    let endpoints: usize = configuration.settings.iter().map(|setting| setting.endpoints.len()).sum();
    let functional: usize = configuration.settings.iter().map(|setting| setting.functional.len()).sum();
    assert!(configuration.settings.len() * 9 + endpoints * 7 + functional * 2 < MAX_CONFIGURATION);
    for function in configuration.ncm_functions() {
        match function {
            Ok(function) => {
                assert!(function.bulk_in.is_in() && !function.bulk_out.is_in());
                let packets = [function.bulk_in, function.bulk_out].map(|bulk| bulk.max_packet);
                assert!(packets.iter().all(|packet| packet & 0x7ff != 0 && packet & 0xf800 == 0));
                assert!(configuration.setting(function.data, function.alternate).is_some());
            }
            Err(error) => assert!(error.to_string().len() < 200),
        }
    }
}
