//! A kernel of Debian's: its uncompressed image, which starts without a decompressor, and modules in loading order.

use crate::cache::Cache;
use crate::debs::Debs;
use crate::process::Log;
use crate::vm::tools::Tools;
use anyhow::{Context as _, Result, bail, ensure};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a guest may want; what these depend on comes by itself.
const MODULES: [&str; 16] = [
    // What libcrc32c asks the kernel's crypto for by another name.
    "crc32c_generic",
    "vhci_hcd",
    "cdc_ncm",
    "cdc_ether",
    "usbnet",
    "mii",
    "ipheth",
    "apple_mfi_fastcharge",
    "bridge",
    "br_netfilter",
    "tun",
    "veth",
    "dummy",
    "nf_tables",
    "macvlan",
    "usbmon",
];
/// Part of the spec: raised when the way of extracting changes.
const WAY: u32 = 2;
/// Where depmod looks.
const TREE: &str = "lib/modules";

/// A kernel in the cache.
#[derive(Clone, Debug)]
pub(crate) struct Kernel {
    /// The ELF image.
    pub(crate) image: PathBuf,
    /// `uname -r`.
    pub(crate) release: String,
    /// What /lib/modules is in a guest: the folder of the release, with what modprobe needs.
    pub(crate) tree: PathBuf,
    /// Files of modules below that, each after those that it needs.
    pub(crate) order: Vec<String>,
}

impl Kernel {
    /// The generic kernel of a suite, which must be of the series `series` (`6.12`).
    pub(crate) fn provide(
        cache: &Cache,
        log: &mut Log,
        tools: &Tools,
        suite: &str,
        series: &str,
    ) -> Result<Self> {
        let way = format!("{series} {MODULES:?} {WAY}");
        let name = format!("kernel-{series}");
        let metapackage = (suite, "linux-image-amd64");
        let root = Debs::stood_for(
            cache,
            log,
            &name,
            metapackage,
            (&way, |root: &Path, _: &mut Log| extract(root, tools, series)),
        )?;
        Self::at(&root)
    }

    fn at(root: &Path) -> Result<Self> {
        let read = |name: &str| {
            std::fs::read_to_string(root.join(name)).with_context(|| format!("{name} of a kernel"))
        };
        let order = read("order")?.lines().map(String::from).collect();
        let release = read("release")?.trim().to_owned();
        Ok(Self { image: root.join("vmlinux"), release, tree: root.join(TREE), order })
    }
}

/// Leaves `vmlinux`, `release`, the modules and their `order` in `root` and drops the rest, some 400 MB.
fn extract(root: &Path, tools: &Tools, series: &str) -> Result<()> {
    // Packages from before and after the merge of /usr.
    let base = ["usr/lib/modules", "lib/modules"].map(|name| root.join(name));
    let base = base.into_iter().find(|path| path.is_dir()).context("the package holds no modules")?;
    let release = only_entry(&base)?;
    ensure!(release.starts_with(&format!("{series}.")), "Debian's kernel is {release}, expected {series}");
    let packed = root.join("boot").join(format!("vmlinuz-{release}"));
    let packed = std::fs::read(&packed).with_context(|| format!("cannot read {}", packed.display()))?;
    std::fs::write(root.join("vmlinux"), image(&packed, tools)?)?;
    std::fs::write(root.join("release"), &release)?;
    let mut found = BTreeMap::new();
    find_modules(&base.join(&release).join("kernel"), &mut found)?;
    let kept = root.join("kept");
    std::fs::create_dir_all(&kept)?;
    let mut order = Vec::new();
    for name in MODULES {
        load(name, &found, &mut order, &mut |name, path| {
            let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            let packed = path.extension().is_some_and(|end| end == "xz");
            let bytes = if packed { tools.unpack("xz", &bytes)? } else { bytes };
            std::fs::write(kept.join(format!("{name}.ko")), &bytes)?;
            Ok(dependencies(&bytes))
        })?;
    }
    let order: String = order.iter().map(|name| format!("{release}/kernel/{name}.ko\n")).collect();
    std::fs::write(root.join("order"), order)?;
    for name in ["boot", "usr", "lib"] {
        let path = root.join(name);
        if path.exists() {
            std::fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    std::fs::create_dir_all(root.join(TREE).join(&release))?;
    std::fs::rename(&kept, root.join(TREE).join(&release).join("kernel"))?;
    tools.depmod(root, &release)
}

fn only_entry(folder: &Path) -> Result<String> {
    let entry = std::fs::read_dir(folder)?.next().context("the package holds no kernel")??;
    entry.file_name().into_string().ok().context("the kernel's release is not UTF-8")
}

/// The ELF image in a bzImage: after its decompressor, in one of two formats.
fn image(packed: &[u8], tools: &Tools) -> Result<Vec<u8>> {
    let formats = [("xz", b"\xfd7zXZ\0".as_slice()), ("zstd", b"\x28\xb5\x2f\xfd")];
    for (program, magic) in formats {
        for at in places(packed, magic) {
            // What follows the stream is no part of it, and the program says so: only the result counts.
            let unpacked = tools.unpack_prefix(program, packed.get(at..).unwrap_or_default())?;
            if unpacked.starts_with(b"\x7fELF") {
                return Ok(unpacked);
            }
        }
    }
    bail!("the kernel is packed in a way that is not known here (neither xz nor zstd)")
}

fn places<'a>(bytes: &'a [u8], word: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    bytes.windows(word.len()).enumerate().filter(move |(_, window)| *window == word).map(|(at, _)| at)
}

/// Modules by name, with `_` for `-` as the kernel has it.
fn find_modules(folder: &Path, found: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            find_modules(&path, found)?;
        } else if let Some(name) = path.file_name().and_then(|name| name.to_str())
            && let Some((name, _)) = name.split_once(".ko")
        {
            found.insert(name.replace('-', "_"), path);
        }
    }
    Ok(())
}

/// Appends `name` to `order`, after what it depends on. A module that is not a file is built in, or an error if wanted itself.
fn load(
    name: &str,
    found: &BTreeMap<String, PathBuf>,
    order: &mut Vec<String>,
    take: &mut dyn FnMut(&str, &Path) -> Result<Vec<String>>,
) -> Result<()> {
    if order.iter().any(|known| known == name) {
        return Ok(());
    }
    let path = found.get(name).with_context(|| format!("the kernel has no module {name}"))?;
    for needed in take(name, path)? {
        load(&needed, found, order, take)?;
    }
    order.push(name.to_owned());
    Ok(())
}

/// What a module's `.modinfo` says that it needs: `depends=a,b`, between zero bytes.
fn dependencies(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = places(module, KEY).next() else { return Vec::new() };
    let value = module.get(at + KEY.len()..).unwrap_or_default();
    let value = value.split(|byte| *byte == 0).next().unwrap_or_default();
    let value = String::from_utf8_lossy(value).into_owned();
    value.split(',').filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_says_what_it_needs() {
        let module = b"\x7fELF..license=GPL\0depends=usbnet,usb-common\0retpoline=Y\0";
        assert_eq!(dependencies(module), ["usbnet", "usb_common"]);
        assert_eq!(dependencies(b"x\0depends=\0"), Vec::<String>::new());
        assert_eq!(dependencies(b""), Vec::<String>::new());
    }

    #[test]
    fn modules_come_after_what_they_need() {
        let found: BTreeMap<String, PathBuf> =
            ["a", "b", "c"].map(|name| (name.to_owned(), PathBuf::from(name))).into();
        let mut order = Vec::new();
        let mut take = |name: &str, _: &Path| {
            Ok(match name {
                "a" => vec!["b".to_owned(), "c".to_owned()],
                "b" => vec!["c".to_owned()],
                _ => Vec::new(),
            })
        };
        load("a", &found, &mut order, &mut take).unwrap();
        load("c", &found, &mut order, &mut take).unwrap();
        assert_eq!(order, ["c", "b", "a"]);
        let error = load("d", &found, &mut order, &mut take).unwrap_err().to_string();
        assert_eq!(error, "the kernel has no module d");
    }
}
