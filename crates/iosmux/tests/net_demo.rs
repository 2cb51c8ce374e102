//! The demo as people run it: as root, as an ordinary user, where it can't run, with ten phones, and ended in every way.
#![cfg(feature = "net-tests")]

mod support;

use std::net::Ipv6Addr;

use serde_json::Value;
use support::{Held, Installed, assert_root, json, text};

const MODEL: &str = "iPhone11,6";
const ORDINARY: &str = "setpriv --reuid 65534 --regid 65534 --clear-groups";

const STEPS: [&str; 10] = [
    "lab",
    "address detection",
    "phones",
    "tunneld",
    "discover",
    "rsd",
    "pair",
    "tunnel",
    "catalogue",
    "registry",
];

fn assert_phones(result: &Value, wanted: usize) {
    assert_eq!(result["schema"], "iosmux-demo/1");
    let phones = result["phones"].as_array().unwrap();
    assert_eq!(phones.len(), wanted);
    let mut udids: Vec<_> = phones.iter().map(|phone| phone["udid"].as_str().unwrap()).collect();
    assert_eq!(udids[0], "00008020-0000000000001234");
    udids.dedup();
    assert_eq!(udids.len(), wanted, "every phone has a UDID of its own");
    for (number, phone) in phones.iter().enumerate() {
        assert_eq!(phone["product_type"], MODEL);
        assert_eq!(phone["os_version"], "17.0.3");
        assert_eq!(phone["services"], 67, "those inside of the tunnel");
        assert_tunnel(phone);
        let derived = phone["derived_keys"].as_array().unwrap().contains(&Value::from("UniqueDeviceID"));
        assert_eq!(derived, number > 0, "only the first UDID is the captured one");
    }
    let timings = &result["timings_ms"];
    let took = |part: &str| timings[part].as_f64().unwrap();
    assert!(took("total") < 5_000.0, "{timings}");
    // The kernel waits a second for an answer, after up to another one.
    assert!((1_000.0..3_000.0).contains(&took("address_detection")), "{timings}");
    assert!(STEPS.iter().all(|part| took(&part.replace(' ', "_")) > 0.0), "{timings}");
    // With several phones each part is that of the slowest, and those may be several. The moment in which a phone was
    // found counts twice: the daemon goes on at once, and tells it.
    let sum: f64 = STEPS.iter().map(|part| took(&part.replace(' ', "_"))).sum();
    assert!(wanted > 1 || sum <= took("total") + 50.0, "{timings}");
}

fn assert_tunnel(phone: &Value) {
    assert_eq!(phone["transport"], "tcp");
    let tunnel = &phone["tunnel"];
    let address: Ipv6Addr = tunnel["address"].as_str().unwrap().parse().unwrap();
    assert!(address.is_unique_local(), "{address}");
    assert!(tunnel["rsd_port"].as_u64().is_some_and(|port| port > 0), "{tunnel}");
    assert!(tunnel["interface"].as_str().unwrap().starts_with("iosmux-tun"), "{tunnel}");
    assert_eq!(tunnel["mtu"], 16_000);
}

#[test]
fn root_sees_a_phone() {
    let installed = Installed::new();
    assert_root(&installed.run("id -u"));
    let output = installed.run("exec $iosmux demo --json");
    assert_phones(&json(&output), 1);
    let steps = text(&output.stderr);
    let shown = |step: &&str| steps.lines().any(|line| line.starts_with(&format!("✓ {step} ")));
    assert!(STEPS.iter().all(shown), "{steps}");
    assert!(!steps.contains('\x1b'), "no colours and no spinner where there is no terminal: {steps}");
}

#[test]
fn the_table_names_the_phone() {
    let output = Installed::new().run("exec $iosmux demo");
    let table = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    for cell in
        [MODEL, "17.0.3 (21A360)", "00008020-0000000000001234", "67", "iosmux-tun0 [fd", "duplicate-address"]
    {
        assert!(table.contains(cell), "{table}");
    }
}

/// With the limit on open files that most systems set: each phone has about a hundred.
#[test]
fn ten_phones_are_seen() {
    let output = Installed::new().run("ulimit -S -n 1024; exec $iosmux demo --json --phones 10");
    assert_phones(&json(&output), 10);
}

/// Uid 65534 with a tun node that all may open, as on most systems.
#[test]
fn an_ordinary_user_sees_a_phone() {
    let installed = Installed::new();
    assert_root(&installed.run("id -u"));
    let output = installed.run(&format!("exec {ORDINARY} $iosmux demo --json --phones 2"));
    assert_phones(&json(&output), 2);
}

#[test]
fn a_machine_without_a_tun_node_is_told_how_to_get_one() {
    let installed = Installed::new();
    assert_root(&installed.run("id -u"));
    let output = installed.with_dev_net("true", "exec $iosmux demo --json").output().unwrap();
    assert_eq!(output.status.code(), Some(6));
    assert_eq!(text(&output.stdout), "");
    insta::assert_snapshot!(text(&output.stderr));
}

#[test]
fn an_ordinary_user_who_may_not_open_the_tun_node_is_told_what_to_change() {
    let installed = Installed::new();
    assert_root(&installed.run("id -u"));
    let demo = format!("exec {ORDINARY} $iosmux demo --json");
    let output = installed.with_dev_net("mknod -m 0600 /dev/net/tun c 10 200", &demo).output().unwrap();
    assert_eq!(output.status.code(), Some(6));
    insta::assert_snapshot!(text(&output.stderr));
}

/// Root whom the kernel refuses a user namespace goes on without one.
#[test]
fn root_without_user_namespaces_sees_a_phone() {
    let output = Installed::new().run(
        "exec unshare --user --map-root-user sh -euc '
            echo 0 > /proc/sys/user/max_user_namespaces
            exec $iosmux demo --json'",
    );
    assert_phones(&json(&output), 1);
}

#[test]
fn an_ordinary_user_without_user_namespaces_is_told_what_to_change() {
    // The outer namespace allows one more, which is where the user becomes an ordinary one.
    let output = Installed::new().run(
        "exec unshare --user --map-root-user sh -euc '
            echo 1 > /proc/sys/user/max_user_namespaces
            exec unshare --user --map-user=65534 --map-group=65534 $iosmux demo --json'",
    );
    assert_eq!(output.status.code(), Some(6));
    assert_eq!(text(&output.stdout), "");
    insta::assert_snapshot!(text(&output.stderr));
}

#[test]
fn a_machine_without_network_namespaces_is_named() {
    let output = Installed::new().run(
        "exec unshare --user --map-root-user sh -euc '
            echo 0 > /proc/sys/user/max_net_namespaces
            exec $iosmux demo'",
    );
    assert_eq!(output.status.code(), Some(6));
    insta::assert_snapshot!(text(&output.stderr));
}

#[test]
fn the_lab_stays_up_and_can_be_joined_as_printed() {
    let installed = Installed::new();
    assert_root(&installed.run("id -u"));
    for user in ["", ORDINARY] {
        let held = Held::start(&installed, user);
        let namespaces: Vec<_> =
            held.json["namespaces"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
        assert_eq!(namespaces, ["host", "vm", "phone"]);
        let inside = |name: &str, command: &str| {
            let output = installed.run(&format!("{user} {} {command}", held.join(name)));
            assert!(output.status.success(), "{name}: {}", text(&output.stderr));
            text(&output.stdout)
        };
        assert!(inside("host", "ls /proc/self/net/dev_snmp6").contains("iosmux0"));
        let ports = inside("host", "cat /proc/self/net/dev");
        assert!(ports.contains("vm:") && ports.contains("phone:"), "{ports}");
        let vm = inside("vm", "cat /proc/self/net/if_inet6");
        assert!(vm.contains("eth0") && vm.contains("iosmux-tun0"), "{vm}");
        assert!(inside("phone", "cat /proc/self/net/if_inet6").contains("ncm0"));
        // No address on the host: it only forwards.
        assert!(!inside("host", "cat /proc/self/net/if_inet6").contains("iosmux0"));
        assert_eq!(held.end("TERM"), Some(0));
    }
}

/// The kernel counts namespaces: with room for exactly one lab, a second one fits only when nothing of the first is left.
#[test]
fn nothing_is_left_behind_however_it_ends() {
    let installed = Installed::new();
    let before = machine();
    for signal in ["INT", "TERM", "KILL"] {
        let output = installed.run(&format!(
            "exec unshare --user --map-root-user sh -euc '
                # That of the signal before would be taken for this one.
                rm -f held.json
                # Two probes of the preflight and three namespaces.
                echo 5 > /proc/sys/user/max_net_namespaces
                $iosmux demo --hold --json > held.json & pid=$!
                for i in $(seq 200); do [ -s held.json ] && break; sleep 0.1; done
                $iosmux demo > /dev/null 2>&1 && {{ echo there was room for two; exit 1; }}
                kill -{signal} $pid
                wait $pid || true
                # A try takes room as well, until the kernel has cleaned up after it.
                for i in $(seq 40); do
                    if $iosmux demo --json 2> errors; then exit 0; fi
                    sleep 1
                done
                cat errors >&2
                exit 1'"
        ));
        assert_phones(&json(&output), 1);
        assert_eq!(machine(), before);
    }
}

/// The machine's own interfaces and named namespaces.
fn machine() -> (Vec<String>, Vec<String>) {
    let names = |folder: &str| {
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    (names("/sys/class/net"), names("/run/netns"))
}

#[test]
fn a_demo_that_is_interrupted_half_way_says_so() {
    let output = Installed::new().run("$iosmux demo & pid=$!; sleep 0.5; kill -INT $pid; wait $pid");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("interrupted; the lab is gone"));
}

#[test]
fn the_recording_holds_the_question_and_the_catalogue() {
    let installed = Installed::new();
    let output = installed.run("exec $iosmux demo --capture demo.pcapng");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let packets = support::packets(&installed.path("demo.pcapng"));
    let holds =
        |part: &[u8]| packets.iter().any(|packet| packet.windows(part.len()).any(|bytes| bytes == part));
    assert!(holds(b"\x08_remoted\x04_tcp\x05local"), "the mDNS question");
    assert!(holds(b"PRI * HTTP/2.0"), "the opening");
    assert!(holds(b"com.apple.mobile.lockdown.remote.trusted"), "the catalogue");
}

#[test]
fn a_recording_that_can_not_be_written_is_a_matter_of_permission() {
    let installed = Installed::new();
    let output = installed
        .run(&format!("touch closed; chmod 0444 closed; exec {ORDINARY} $iosmux demo --capture closed"));
    assert_eq!(output.status.code(), Some(4), "{}", text(&output.stderr));
}

#[test]
fn bad_usage_is_told_apart() {
    for arguments in ["demo --phones 0", "demo --phones many", "demonstrate", ""] {
        assert_eq!(Installed::new().run(&format!("exec $iosmux {arguments}")).status.code(), Some(2));
    }
}
