//! `iosmux-bridge up` under sudo and in a root shell, with what its processes may do.
#![cfg(feature = "vm-tests")]

mod cable;

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use cable::bridge::program;
use cable::{BRIDGE, Desk, PATIENCE, configuration, ports, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Who calls sudo.
const CALLER: &str = "1000";
/// Who has the nodes where usbmuxd is installed.
const USBMUX: u32 = 1001;
/// Capabilities as bits. Source: the kernel's include/uapi/linux/capability.h.
const DAC_OVERRIDE: u64 = 1 << 1;
const NET_ADMIN: u64 = 1 << 12;

/// The command as sudo starts it; dropped, it is killed.
struct Up {
    child: Child,
    out: PathBuf,
    log: PathBuf,
}

impl Up {
    /// Under sudo, or else in a root shell.
    fn start(desk: &Desk, driver: &str, sudo: bool) -> Self {
        // The caller is known to the computer, and its udev lets everybody make TAP interfaces for which they have the right.
        fs::write("/etc/passwd", "root:x:0:0::/:/bin/sh\ncaller:x:1000:1000::/:/bin/sh\n").unwrap();
        fs::set_permissions("/dev/net/tun", Permissions::from_mode(0o666)).unwrap();
        let (out, log) = (desk.path("up.out"), desk.path("up.log"));
        let caller = [("SUDO_UID", CALLER), ("SUDO_GID", CALLER)];
        let child = Command::new(program("iosmux-bridge"))
            .args(["up", "--json", "--bridge", BRIDGE, "--driver", driver])
            .envs(caller.into_iter().filter(|_| sudo))
            .env("IOSMUX_LOG", "debug")
            .stdin(Stdio::null())
            .stdout(File::create(&out).unwrap())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Self { child, out, log }
    }

    fn told(&self) -> String {
        fs::read_to_string(&self.out).unwrap()
    }

    fn everything(&self) -> String {
        self.told() + &fs::read_to_string(&self.log).unwrap()
    }

    async fn joined(&self) {
        let joined = || self.told().contains(r#""state":"joined""#).then_some(());
        if tokio::time::timeout(PATIENCE, until("joined", PATIENCE * 2, joined)).await.is_err() {
            panic!("not joined: {}", self.everything());
        }
    }

    /// The processes that it has started.
    fn children(&self) -> Vec<u32> {
        let parent = self.child.id().to_string();
        let entries = fs::read_dir("/proc").unwrap();
        let pids = entries.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
        pids.filter(|pid| status(*pid, "PPid").as_deref() == Some(&parent)).collect()
    }

    fn helper(&self) -> u32 {
        let [helper] = self.children()[..] else { panic!("one helper is expected: {:?}", self.children()) };
        helper
    }

    async fn ends_at_ctrl_c(mut self) {
        let opener = self.children();
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
        let (status, _) = until("it ends", PATIENCE, || self.child.try_wait().unwrap()).await;
        assert_eq!(status.code(), Some(0), "{}", self.everything());
        let gone = || opener.iter().all(|pid| self::status(*pid, "Uid").is_none()).then_some(());
        until("its helper ends with it", PATIENCE, gone).await;
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A field of a process's status; none when it is gone.
fn status(pid: u32, field: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    Some(value.trim().to_owned())
}

/// It is this user's, has this capability and no other, and can gain nothing.
fn holds_only(pid: u32, user: &str, capability: u64) {
    let field = |name| status(pid, name).unwrap();
    assert_eq!(field("Uid").split_whitespace().collect::<Vec<_>>(), [user; 4]);
    assert_eq!(field("Gid").split_whitespace().collect::<Vec<_>>(), [user; 4]);
    assert_eq!(field("NoNewPrivs"), "1");
    for (set, bits) in
        [("CapEff", capability), ("CapPrm", capability), ("CapBnd", capability), ("CapInh", 0), ("CapAmb", 0)]
    {
        assert_eq!(u64::from_str_radix(&field(set), 16).unwrap(), bits, "{set}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_sudo_it_is_the_caller_with_one_right_and_so_is_its_helper() {
    let desk = Desk::new();
    let up = Up::start(&desk, "auto", true);
    let phone = desk.phone(0, &[]).await;
    up.joined().await;
    for (pid, capability) in [(up.child.id(), NET_ADMIN), (up.helper(), DAC_OVERRIDE)] {
        holds_only(pid, CALLER, capability);
        assert_eq!(status(pid, "Groups").unwrap(), CALLER);
    }

    up.ends_at_ctrl_c().await;
    assert!(ports().is_empty(), "{:?}", ports());
    until("it is in mode 1", PATIENCE, || {
        let back = configuration(0).is_some_and(|(_, configurations)| configurations == "4");
        (back && phone.state().borrow().mode == 1).then_some(())
    })
    .await;
}

/// Root without its rights is an ordinary user, and the node is another's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_root_shell_a_helper_opens_what_belongs_to_usbmuxd() {
    let desk = Desk::new();
    let phone = desk.phone(0, &[]).await;
    let (folder, _) = until("it is on USB", PATIENCE, || cable::on_usb(0)).await;
    let number = |name: &str| -> u8 {
        let text = fs::read_to_string(folder.join(name)).unwrap();
        text.trim().parse().unwrap()
    };
    let node = format!("/dev/bus/usb/{:03}/{:03}", number("busnum"), number("devnum"));
    std::os::unix::fs::chown(&node, Some(USBMUX), Some(USBMUX)).unwrap();
    fs::set_permissions(&node, Permissions::from_mode(0o664)).unwrap();

    let up = Up::start(&desk, "auto", false);
    up.joined().await;
    holds_only(up.child.id(), "0", NET_ADMIN);
    let helper = up.helper();
    holds_only(helper, "0", DAC_OVERRIDE);
    assert!(!up.everything().contains("denied"), "{}", up.everything());

    // A service manager asks every process of a service to end.
    for signal in [Signal::SIGTERM, Signal::SIGHUP] {
        kill(Pid::from_raw(helper.try_into().unwrap()), signal).unwrap();
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(up.helper(), helper);
    up.ends_at_ctrl_c().await;
    until("it is in mode 1", PATIENCE, || (phone.state().borrow().mode == 1).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_own_driver_carries_a_function_that_the_kernel_could_have() {
    let desk = Desk::new();
    let up = Up::start(&desk, "userspace", true);
    let phone = desk.phone(0, &[]).await;
    up.joined().await;
    let ports = ports();
    assert!(ports.iter().all(|port| port.starts_with("iosmuxu")) && ports.len() == 1, "{ports:?}");
    let state = phone.state().borrow().clone();
    assert_eq!(cable::mac(ports.first().unwrap()), state.host_mac);
    assert!(state.open, "{state:?}");
    up.ends_at_ctrl_c().await;
    assert!(cable::ports().is_empty() && !cable::exists(ports.first().unwrap()));
}
