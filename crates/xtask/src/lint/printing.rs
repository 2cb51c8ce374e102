//! Only front crates talk to people.

use super::layers::Layer;
use super::source::Mentions;

const MACROS: &[&str] = &["dbg", "eprint", "eprintln", "print", "println"];
const STREAMS: &[&str] = &["std::io::stdout", "std::io::stderr", "std::process::exit"];

/// What `file` of a crate in `layer` prints or ends although it must not.
pub(crate) fn wrong(file: &str, layer: Layer, mentions: &Mentions) -> Vec<String> {
    // A program may talk in one place: usage, where it listens, the reason for its end.
    let program =
        ["/src/main.rs", "/src/cli.rs"].iter().any(|end| file.ends_with(end)) || file.contains("/src/bin/");
    if layer == Layer::Front || program {
        return Vec::new();
    }
    let macros = mentions.macros.iter().filter(|(name, _)| MACROS.contains(&name.as_str()));
    let paths =
        mentions.paths.iter().filter(|(path, _)| STREAMS.iter().any(|stream| path.starts_with(stream)));
    macros
        .map(|(name, line)| format!("{file}:{line}: {name}!: only front crates print"))
        .chain(paths.map(|(path, line)| format!("{file}:{line}: {path}: only front crates print or exit")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::source::parse;
    use super::*;

    #[test]
    fn a_library_that_prints_is_named() {
        let mentions =
            parse("fn f() { println!(\"x\"); std::process::exit(1); std::io::stdout(); }").unwrap();
        assert_eq!(wrong("crates/a/src/b.rs", Layer::Daemon, &mentions).len(), 3);
        assert_eq!(wrong("crates/a/src/b.rs", Layer::Front, &mentions), Vec::<String>::new());
        assert_eq!(wrong("crates/a/src/main.rs", Layer::Daemon, &mentions), Vec::<String>::new());
    }
}
