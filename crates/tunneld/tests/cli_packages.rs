//! What packages take from the program: completions and a manual page; and its usage errors.

use std::process::{Command, Output};

fn tunneld(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_iosmux-tunneld")).args(arguments).output().unwrap()
}

fn stdout(arguments: &[&str]) -> String {
    let output = tunneld(arguments);
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn completions_of_each_shell_know_the_commands() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let text = stdout(&["completions", shell]);
        for word in ["check-config", "state-dir"] {
            assert!(text.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn the_manual_page_has_each_command_and_no_hidden_one() {
    let page = stdout(&["man"]);
    for section in
        [".TH iosmux-tunneld 1", ".SH \"RUN\"", ".SH \"UP\"", ".SH \"CHECK-CONFIG\"", "\\-\\-state\\-dir"]
    {
        assert!(page.contains(section), "{section}");
    }
    assert!(!page.contains("resume"), "hidden commands stay hidden");
}

#[test]
fn the_version_is_printed() {
    assert_eq!(stdout(&["--version"]), format!("iosmux-tunneld {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn usage_errors_are_two() {
    for arguments in [
        &[][..],
        &["fly"],
        &["run", "--listen"],
        &["run", "--config", "/nonexistent/tunneld.toml"],
        &["run", "--listen", "0.0.0.0:49151"],
        &["up", "--interface", "a/b"],
        &["resume-abandoned", "--process", "0", "--longest-ms", "1"],
        &["resume-abandoned", "--process", "-1", "--longest-ms", "1"],
        &["resume-abandoned", "--process", "1", "--longest-ms", "1"],
    ] {
        assert_eq!(tunneld(arguments).status.code(), Some(2), "{arguments:?}");
    }
}
