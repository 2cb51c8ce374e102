//! `switch` and `restore`: a mode changed once.

mod desk;

use desk::{Desk, FakeUsb, OTHER, UDID, run};
use iosmux_bridge::oneoff::{Changed, ModeError, set_mode};
use iosmux_bridge::ports::UsbError;
use iosmux_fakephone::usb::UsbFault;
use iosmux_usb::{Mode, Udid};

fn udid() -> Udid {
    UDID.parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn there_and_back_and_nothing_twice() {
    let desk = Desk::new();
    desk.plug("1-2", UDID, &[]);
    let usb = FakeUsb(desk.clone());
    for mode in [Mode::Ncm, Mode::Initial] {
        assert!(matches!(set_mode(&usb, &udid(), mode).await, Ok(Changed::After(_))));
        assert_eq!(
            (desk.mode("1-2"), set_mode(&usb, &udid(), mode).await.unwrap()),
            (mode, Changed::Already)
        );
    }
    assert_eq!(desk.state().modes, [3, 1]);
    assert_eq!(desk.left(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_has_a_name() {
    let desk = Desk::new();
    let usb = FakeUsb(desk.clone());
    assert!(matches!(set_mode(&usb, &udid(), Mode::Ncm).await, Err(ModeError::NotFound(_))));
    desk.plug("1-2", UDID, &[UsbFault::RefuseMode { stall: false }]);
    let refused = set_mode(&usb, &udid(), Mode::Ncm).await.unwrap_err();
    assert!(refused.to_string().contains("answered [01] instead of 0: unlock it"), "{refused}");
    desk.plug("1-3", OTHER, &[UsbFault::ForgetMode { configured: false }]);
    let late = set_mode(&usb, &OTHER.parse().unwrap(), Mode::Ncm).await.unwrap_err();
    assert!(matches!(late, ModeError::Late { .. }));
    desk.state().phones.get_mut("1-2").unwrap().locked = true;
    let late = set_mode(&usb, &udid(), Mode::Ncm).await.unwrap_err();
    assert!(
        matches!(late, ModeError::Usb { source: UsbError::Late, .. }),
        "it may be the one that is not shown"
    );
    desk.state().phones.get_mut("1-2").unwrap().locked = false;
    desk.state().may_open = false;
    let denied = set_mode(&usb, &udid(), Mode::Ncm).await.unwrap_err();
    assert!(matches!(&denied, ModeError::Usb { source: UsbError::Denied { .. }, .. }));
    assert!(denied.to_string().contains("use sudo"), "{denied}");
}

#[tokio::test(start_paused = true)]
async fn a_phone_that_was_switched_by_hand_is_taken_as_it_is() {
    let desk = Desk::new();
    desk.plug("1-2", UDID, &[]);
    set_mode(&FakeUsb(desk.clone()), &udid(), Mode::Ncm).await.unwrap();
    let mut daemon = run(&desk, "");
    daemon.until_state("1-2", "joined").await;
    assert_eq!(desk.state().modes, [3]);
    daemon.stop().await;
}
