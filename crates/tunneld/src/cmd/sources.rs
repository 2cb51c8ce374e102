//! Where settings come from: a file and options.

use std::path::{Path, PathBuf};

use clap::Args;
use iosmux_service::config::{self, ConfigError};
use iosmux_tunneld::config::{DEFAULT_FILE, Environment, Overrides, Settings};

/// The options that `run` and `up` share.
#[derive(Debug, Args)]
pub(super) struct Sources {
    /// Look for phones on this interface, or on those that fit a pattern such as en*; can be given several times
    #[arg(long = "interface", value_name = "IF")]
    interfaces: Vec<String>,
    /// Keep pair records here
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Serve the registry here instead of 127.0.0.1:49151; can be given several times
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Vec<String>,
}

impl Sources {
    /// Reads and checks.
    pub(super) fn settings(&self, file: Option<&Path>) -> Result<Settings, ConfigError> {
        let overrides = Overrides {
            interfaces: self.interfaces.clone(),
            state_dir: self.state_dir.clone(),
            listen: self.listen.clone(),
        };
        Settings::load(file, &overrides, &Environment::current())
    }
}

/// The file that is named, else the default one if it is there.
pub(super) fn file(named: Option<&Path>) -> Option<&Path> {
    config::named_or_default(named, Path::new(DEFAULT_FILE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use iosmux_service::Exit;

    fn read(path: &Path) -> ConfigError {
        assert!(
            config::named_or_default(None, path).is_some(),
            "defaults would be used in place of {path:?}"
        );
        Settings::load(Some(path), &Overrides::default(), &Environment::current()).unwrap_err()
    }

    #[test]
    fn a_file_behind_a_file_or_a_broken_link_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        std::fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        assert_eq!(read(&file.join("tunneld.toml")).exit(), Exit::Usage);
        assert_eq!(read(&link).exit(), Exit::Usage);
        assert_eq!(config::named_or_default(None, &folder.path().join("none/tunneld.toml")), None);
    }

    /// Root may look everywhere: a thread that touches files as nobody may not.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_folder_that_can_not_be_searched_is_a_matter_of_permission() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let closed = |mode| std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(mode));
        std::fs::write(folder.path().join("tunneld.toml"), "pair = \"never\"\n").unwrap();
        closed(0).unwrap();
        let error = std::thread::scope(|scope| {
            let reading = scope.spawn(|| {
                nix::unistd::setfsuid(65534.into());
                read(&folder.path().join("tunneld.toml"))
            });
            reading.join().unwrap()
        });
        closed(0o700).unwrap();
        assert_eq!(error.exit(), Exit::Permission, "{error}");
    }
}
