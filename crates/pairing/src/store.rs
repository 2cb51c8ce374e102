//! Pair records on disk: a directory of mode 0700 with files of mode 0600, each replaced whole.
//!
//! A file's name is a digest of the record's identifier: nothing that a peer says becomes a path.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rand_core::CryptoRng;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::identity::{Identity, IdentityError, check_identifier, host_identifier};
use crate::record::{PairRecord, RecordError};

/// The longest file that is read and written, in bytes; a real one has about 1000.
const MAX_FILE: u64 = 64 * 1024;
const IDENTITY_FILE: &str = "host.json";
const RECORD_PREFIX: &str = "peer-";
const SUFFIX: &str = ".json";

/// Why a record can't be kept or found.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system refused.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Others may read or change what holds private keys.
    #[error("{path} has mode {mode:04o}, which lets others at private keys: run chmod {wanted:o} {path}")]
    Permissions {
        /// What.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// The mode that it should have.
        wanted: u32,
    },
    /// Something that is no ordinary file or directory.
    #[error("{path} is not {expected}: use another place, or what a link leads to")]
    WrongKind {
        /// What.
        path: PathBuf,
        /// What it should be.
        expected: &'static str,
    },
    /// A file is far longer than a record.
    #[error("{path} is longer than {MAX_FILE} bytes: it is no pair record")]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// What is to be kept would not be read again.
    #[error(
        "{path} is left as it is: what should replace it has {len} bytes, at most {MAX_FILE} are read again"
    )]
    TooLongToKeep {
        /// The file.
        path: PathBuf,
        /// The length of what is not written.
        len: usize,
    },
    /// The file holds the record of another device.
    #[error("{path} holds the record of another device: the file was moved or copied")]
    WrongRecord {
        /// The file.
        path: PathBuf,
    },
    /// A record's content is wrong.
    #[error("{path}: {source}")]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: RecordError,
    },
    /// The identifier is refused.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// A directory of pair records.
#[derive(Debug, Clone)]
pub struct Store {
    directory: PathBuf,
}

impl Store {
    /// Opens a directory, which is made with mode 0700 if it is not there.
    ///
    /// # Errors
    /// [`StoreError::Permissions`] when others have access to it, [`StoreError::Io`].
    pub fn open(directory: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let directory = directory.into();
        let made = DirBuilder::new().mode(0o700).recursive(true).create(&directory);
        made.map_err(io_error("create", &directory))?;
        let metadata = fs::symlink_metadata(&directory).map_err(io_error("look at", &directory))?;
        if !metadata.is_dir() {
            return Err(StoreError::WrongKind { path: directory, expected: "a directory" });
        }
        check_mode(&directory, metadata.mode(), 0o700)?;
        Ok(Self { directory })
    }

    /// Where the records are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The record of a device.
    ///
    /// # Errors
    /// [`StoreError`]; no record is `None`.
    pub fn load(&self, identifier: &str) -> Result<Option<PairRecord>, StoreError> {
        let path = self.record_path(identifier)?;
        let Some(record) = read_record(&path)? else { return Ok(None) };
        if record.identifier == identifier { Ok(Some(record)) } else { Err(StoreError::WrongRecord { path }) }
    }

    /// The record of a device, however its name is spelt in it; `same` tells two spellings of one name. Whoever spells
    /// the name of another device differently must not get past its pinned identity.
    ///
    /// # Errors
    /// [`StoreError`]; no record is `None`.
    pub fn find(
        &self,
        identifier: &str,
        same: impl Fn(&str, &str) -> bool,
    ) -> Result<Option<PairRecord>, StoreError> {
        if let Some(record) = self.load(identifier)? {
            return Ok(Some(record));
        }
        Ok(self.list()?.into_iter().find(|record| same(&record.identifier, identifier)))
    }

    /// Keeps a record in place of the one that is there: the new file is on disk before it takes the name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn save(&self, record: &PairRecord) -> Result<(), StoreError> {
        let path = self.record_path(&record.identifier)?;
        let json = record.to_json().map_err(|source| StoreError::Record { path: path.clone(), source })?;
        self.replace(&path, &json)
    }

    /// Forgets a device; says whether there was a record.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn remove(&self, identifier: &str) -> Result<bool, StoreError> {
        let path = self.record_path(identifier)?;
        match fs::remove_file(&path) {
            Ok(()) => self.sync_directory().map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(io_error("remove", &path)(error)),
        }
    }

    /// All records that can be read, in the order of their identifiers; what is wrong with another one is logged.
    ///
    /// # Errors
    /// [`StoreError`] when the directory can't be read.
    pub fn list(&self) -> Result<Vec<PairRecord>, StoreError> {
        let mut records = Vec::new();
        for entry in fs::read_dir(&self.directory).map_err(io_error("list", &self.directory))? {
            let path = entry.map_err(io_error("list", &self.directory))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.starts_with(RECORD_PREFIX) && name.ends_with(SUFFIX) {
                match read_record(&path) {
                    Ok(record) => records.extend(record),
                    Err(error) => tracing::warn!(%error, "a pair record is passed over"),
                }
            }
        }
        records.sort_by(|a, b| a.identifier.cmp(&b.identifier));
        Ok(records)
    }

    /// The identity of this host, made and kept the first time.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn host_identity(&self, host_name: &str, rng: &mut dyn CryptoRng) -> Result<Identity, StoreError> {
        let path = self.directory.join(IDENTITY_FILE);
        let record = |source| StoreError::Record { path: path.clone(), source };
        if let Some(bytes) = read(&path)? {
            return Identity::from_json(&bytes).map_err(record);
        }
        let identity = Identity::generate(host_identifier(host_name), rng)?;
        self.replace(&path, &identity.to_json().map_err(record)?)?;
        Ok(identity)
    }

    fn record_path(&self, identifier: &str) -> Result<PathBuf, StoreError> {
        check_identifier(identifier)?;
        let digest = Sha256::digest(identifier.as_bytes());
        let name: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Ok(self.directory.join(format!("{RECORD_PREFIX}{name}{SUFFIX}")))
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        if !is_readable(bytes.len()) {
            return Err(StoreError::TooLongToKeep { path: path.to_owned(), len: bytes.len() });
        }
        let mut file = tempfile::Builder::new()
            .prefix(".new-")
            .permissions(Permissions::from_mode(0o600))
            .tempfile_in(&self.directory)
            .map_err(io_error("write into", &self.directory))?;
        file.write_all(bytes).map_err(io_error("write", path))?;
        file.as_file().sync_all().map_err(io_error("write", path))?;
        file.persist(path).map_err(|error| io_error("replace", path)(error.error))?;
        self.sync_directory()
    }

    fn sync_directory(&self) -> Result<(), StoreError> {
        let synced = File::open(&self.directory).and_then(|directory| directory.sync_all());
        synced.map_err(io_error("write", &self.directory))
    }
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { action, path, source }
}

fn check_mode(path: &Path, mode: u32, wanted: u32) -> Result<(), StoreError> {
    let mode = mode & 0o7777;
    if mode & 0o077 == 0 {
        Ok(())
    } else {
        Err(StoreError::Permissions { path: path.to_owned(), mode, wanted })
    }
}

fn read_record(path: &Path) -> Result<Option<PairRecord>, StoreError> {
    let Some(bytes) = read(path)? else { return Ok(None) };
    PairRecord::from_json(&bytes)
        .map(Some)
        .map_err(|source| StoreError::Record { path: path.to_owned(), source })
}

/// The bytes of a private file, or `None` if there is none.
fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error("look at", path)(error)),
    };
    if !metadata.is_file() {
        return Err(StoreError::WrongKind { path: path.to_owned(), expected: "a file" });
    }
    check_mode(path, metadata.mode(), 0o600)?;
    let file = File::open(path).map_err(io_error("open", path))?;
    // Room for all of it, so that growing leaves no copies behind.
    let room = usize::try_from(metadata.len().min(MAX_FILE)).unwrap_or_default().saturating_add(2);
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(MAX_FILE.saturating_add(1)).read_to_end(&mut bytes).map_err(io_error("read", path))?;
    if is_readable(bytes.len()) {
        Ok(Some(bytes))
    } else {
        Err(StoreError::TooLong { path: path.to_owned() })
    }
}

/// Whether a file of this length is taken.
fn is_readable(len: usize) -> bool {
    u64::try_from(len).is_ok_and(|len| len <= MAX_FILE)
}
