//! What the head of a Mach-O file says of it: enough to tell a macOS program from anything else.

/// `MH_MAGIC_64`, little-endian.
const MAGIC: u32 = 0xfeed_facf;
const X86_64: u32 = 0x0100_0007;
const EXECUTE: u32 = 2;
/// `LC_BUILD_VERSION`: platform, oldest system, SDK.
const BUILD_VERSION: u32 = 0x32;
/// `LC_LOAD_DYLIB`.
const LOAD_DYLIB: u32 = 0x0c;
const MACOS: u32 = 1;
const HEADER: usize = 32;

/// A program for macOS on x86_64.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Program {
    /// Oldest macOS that runs it, as `13.0`.
    pub(crate) oldest: String,
    /// Libraries that it loads, by path.
    pub(crate) libraries: Vec<String>,
}

/// Reads a program's header and load commands, or says why it is no macOS program for x86_64.
pub(crate) fn program(bytes: &[u8]) -> Result<Program, String> {
    for (at, what, expected) in [(0, "magic", MAGIC), (4, "CPU type", X86_64), (12, "file type", EXECUTE)] {
        match word(bytes, at) {
            Some(found) if found == expected => {}
            Some(found) => return Err(format!("{what} {found:#010x}, expected {expected:#010x}")),
            None => return Err(format!("{} bytes are no Mach-O header", bytes.len())),
        }
    }
    let (mut oldest, mut libraries) = (None, Vec::new());
    let mut rest = bytes.get(HEADER..).unwrap_or_default();
    for index in 0..word(bytes, 16).unwrap_or_default() {
        let length = word(rest, 4).unwrap_or_default() as usize;
        let command = rest.get(..length).filter(|command| command.len() >= 8);
        let command = command.ok_or_else(|| format!("load command {index} is cut off"))?;
        match word(command, 0) {
            Some(BUILD_VERSION) => match (word(command, 8), word(command, 12)) {
                (Some(MACOS), Some(version)) => {
                    oldest = Some(format!("{}.{}", version >> 16, version >> 8 & 0xff));
                }
                (platform, _) => return Err(format!("platform {platform:?}, expected {MACOS} (macOS)")),
            },
            Some(LOAD_DYLIB) => libraries.push(name(command)),
            _ => {}
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    let oldest = oldest.ok_or("it does not say for which system it is")?;
    Ok(Program { oldest, libraries })
}

/// The text at the offset that the third word names, up to its first zero.
fn name(command: &[u8]) -> String {
    let from = word(command, 8).unwrap_or_default() as usize;
    let text = command.get(from..).unwrap_or_default().split(|byte| *byte == 0).next();
    String::from_utf8_lossy(text.unwrap_or_default()).into_owned()
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).map(u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header with an LC_BUILD_VERSION for macOS 13.1 and one library.
    fn sample() -> Vec<u8> {
        let words = [MAGIC, X86_64, 3, EXECUTE, 2, 64, 0, 0, BUILD_VERSION, 24, MACOS, 0x000d_0100, 0, 0];
        let mut bytes: Vec<u8> = words.iter().flat_map(|word: &u32| word.to_le_bytes()).collect();
        bytes.extend([LOAD_DYLIB, 40, 24, 2, 0, 0].iter().flat_map(|word| word.to_le_bytes()));
        bytes.extend(*b"/usr/lib/libS.B\0");
        bytes
    }

    #[test]
    fn a_macos_program_is_read() {
        let expected = Program { oldest: "13.1".into(), libraries: vec!["/usr/lib/libS.B".into()] };
        assert_eq!(program(&sample()), Ok(expected));
    }

    #[test]
    fn other_files_are_named() {
        assert!(program(b"\x7fELF\x02\x01\x01\0").is_err_and(|reason| reason.contains("magic 0x464c457f")));
        assert!(program(b"").is_err_and(|reason| reason.contains("0 bytes")));
        let mut arm = sample();
        arm[4] = 0x0c;
        assert!(program(&arm).is_err_and(|reason| reason.contains("CPU type 0x0100000c")));
        let mut library = sample();
        library[12] = 6;
        assert!(program(&library).is_err_and(|reason| reason.contains("file type")));
        let mut phone = sample();
        phone[40] = 2;
        assert!(program(&phone).is_err_and(|reason| reason.contains("platform Some(2)")));
    }

    #[test]
    fn a_cut_file_is_an_error_at_every_length() {
        let whole = sample();
        for length in 0..whole.len() {
            assert!(program(&whole[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn a_program_for_no_system_is_named() {
        let mut bytes = sample();
        bytes[HEADER] = 0x1b;
        assert_eq!(program(&bytes), Err("it does not say for which system it is".into()));
    }
}
