//! Reads Rust sources as syntax, tests left aside, with `use` names resolved.

use anyhow::{Context as _, Result};
use proc_macro2::{TokenStream, TokenTree};
use std::collections::HashMap;
use std::path::Path;
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

/// What a source file mentions, outside of its tests.
#[derive(Debug, Default)]
pub(crate) struct Mentions {
    /// Paths (`std::thread::spawn`), imports resolved, with their line.
    pub(crate) paths: Vec<(String, usize)>,
    /// Macros by their last name (`println`), with their line.
    pub(crate) macros: Vec<(String, usize)>,
    /// Lines with `async` or `.await`.
    pub(crate) asyncs: Vec<usize>,
    /// Struct literals: type's last name, fields with string literals as values, line.
    pub(crate) literals: Vec<Literal>,
}

/// One struct literal.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Literal {
    /// The type's last name.
    pub(crate) name: String,
    /// Fields; the value is `None` unless it is a string literal.
    pub(crate) fields: Vec<(String, Option<String>)>,
    /// Where.
    pub(crate) line: usize,
}

/// Reads the file at `path`.
pub(crate) fn read(path: &Path) -> Result<Mentions> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&text).with_context(|| format!("{} is not Rust", path.display()))
}

/// Reads source text.
pub(crate) fn parse(text: &str) -> Result<Mentions> {
    let file = syn::parse_file(text)?;
    let mut reader = Reader::default();
    reader.visit_file(&file);
    let Reader { mut mentions, aliases, .. } = reader;
    for (path, _) in &mut mentions.paths {
        let (first, rest) = path.split_once("::").map_or((path.as_str(), None), |(a, b)| (a, Some(b)));
        if let Some(full) = aliases.get(first) {
            *path = rest.map_or_else(|| full.clone(), |rest| format!("{full}::{rest}"));
        }
    }
    Ok(mentions)
}

/// Whether a file holds tests only, by its path.
pub(crate) fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs")
        || path.ends_with("_tests.rs")
        || path.contains("/tests/")
        || path.contains("/benches/")
}

#[derive(Default)]
struct Reader {
    mentions: Mentions,
    aliases: HashMap<String, String>,
}

impl Reader {
    fn take_use(&mut self, prefix: &str, tree: &syn::UseTree) {
        let line = tree.span().start().line;
        let join = |name: &str| if prefix.is_empty() { name.to_owned() } else { format!("{prefix}::{name}") };
        let mut import = |path: String, name: String| {
            let path = path.trim_end_matches("::self").to_owned();
            let name =
                if name == "self" { path.rsplit("::").next().unwrap_or_default().to_owned() } else { name };
            if path.contains("::") {
                self.aliases.insert(name, path.clone());
            }
            self.mentions.paths.push((path, line));
        };
        match tree {
            syn::UseTree::Path(path) => self.take_use(&join(&path.ident.to_string()), &path.tree),
            syn::UseTree::Name(name) => import(join(&name.ident.to_string()), name.ident.to_string()),
            syn::UseTree::Rename(name) => import(join(&name.ident.to_string()), name.rename.to_string()),
            syn::UseTree::Glob(_) => self.mentions.paths.push((join("*"), line)),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.take_use(prefix, tree)),
        }
    }

    /// Macro bodies are tokens only: paths, `async`, `await` and struct literals are read from them by shape.
    fn take_tokens(&mut self, tokens: TokenStream) {
        let trees: Vec<TokenTree> = tokens.into_iter().collect();
        let mut path = String::new();
        for (at, tree) in trees.iter().enumerate() {
            let line = tree.span().start().line;
            match tree {
                TokenTree::Ident(name) => {
                    let name = name.to_string();
                    if name == "async" || name == "await" {
                        self.mentions.asyncs.push(line);
                    }
                    let follows = path.ends_with("::");
                    path = if follows { format!("{path}{name}") } else { name };
                    if !is_colon(trees.get(at + 1)) {
                        self.mentions.paths.push((std::mem::take(&mut path), line));
                    }
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' && is_colon(trees.get(at + 1)) => {
                    path.push_str("::");
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' => {}
                TokenTree::Group(group) => {
                    if let Ok(literal) = syn::parse2::<syn::ExprStruct>(
                        trees[at.saturating_sub(1)..=at].iter().cloned().collect(),
                    ) {
                        self.take_literal(&literal);
                    }
                    self.take_tokens(group.stream());
                    path.clear();
                }
                _ => path.clear(),
            }
        }
    }

    fn take_literal(&mut self, literal: &syn::ExprStruct) {
        let text = |value: &syn::Expr| match value {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        };
        let field = |field: &syn::FieldValue| match &field.member {
            syn::Member::Named(name) => (name.to_string(), text(&field.expr)),
            syn::Member::Unnamed(index) => (index.index.to_string(), text(&field.expr)),
        };
        self.mentions.literals.push(Literal {
            name: literal.path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default(),
            fields: literal.fields.iter().map(field).collect(),
            line: literal.path.span().start().line,
        });
    }
}

fn is_colon(tree: Option<&TokenTree>) -> bool {
    matches!(tree, Some(TokenTree::Punct(mark)) if mark.as_char() == ':')
}

/// `#[cfg(test)]` or `#[cfg(all(test, …))]`.
fn is_test_only(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().filter(|attribute| attribute.path().is_ident("cfg")).any(|attribute| {
        let Ok(list) = attribute.meta.require_list() else { return false };
        let text = list.tokens.to_string().replace(' ', "");
        text == "test" || text.starts_with("all(test,") || text.starts_with("all(test)")
    })
}

fn attributes_of(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Static(item) => &item.attrs,
        syn::Item::Macro(item) => &item.attrs,
        _ => &[],
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_test_only(attributes_of(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.take_use("", &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.mentions.paths.push((names.join("::"), path.span().start().line));
        visit::visit_path(self, path);
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        if let Some(word) = &signature.asyncness {
            self.mentions.asyncs.push(word.span().start().line);
        }
        visit::visit_signature(self, signature);
    }

    fn visit_expr_async(&mut self, block: &'ast syn::ExprAsync) {
        self.mentions.asyncs.push(block.async_token.span().start().line);
        visit::visit_expr_async(self, block);
    }

    fn visit_expr_await(&mut self, wait: &'ast syn::ExprAwait) {
        self.mentions.asyncs.push(wait.await_token.span().start().line);
        visit::visit_expr_await(self, wait);
    }

    fn visit_expr_struct(&mut self, literal: &'ast syn::ExprStruct) {
        self.take_literal(literal);
        visit::visit_expr_struct(self, literal);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        let name = call.path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default();
        self.mentions.macros.push((name, call.path.span().start().line));
        visit::visit_path(self, &call.path);
        self.take_tokens(call.tokens.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        parse(text).unwrap().paths.into_iter().map(|(path, _)| path).collect()
    }

    #[test]
    fn imports_are_resolved() {
        let found = paths(
            "use std::{net, time::{Duration, Instant as Clock}}; fn f() { Clock::now(); net::lookup(); }",
        );
        for expected in ["std::net", "std::time::Duration", "std::time::Instant::now", "std::net::lookup"] {
            assert!(found.iter().any(|path| path == expected), "{expected} in {found:?}");
        }
    }

    #[test]
    fn macro_bodies_are_read() {
        let found = parse("fn f() { info!(x = std::thread::current(), async { y.await }); }").unwrap();
        assert!(found.paths.iter().any(|(path, _)| path == "std::thread::current"), "{found:?}");
        assert_eq!(found.asyncs.len(), 2);
        assert_eq!(found.macros[0].0, "info");
    }

    #[test]
    fn tests_are_left_aside() {
        let text = "#[cfg(test)] mod tests { use std::thread; async fn f() {} } #[cfg(test)] use std::fs;";
        let found = parse(text).unwrap();
        assert!(found.paths.is_empty() && found.asyncs.is_empty(), "{found:?}");
    }

    #[test]
    fn literals_are_found_also_in_macros() {
        let text = r#"fn f() { g(NotSourced { what: "a-b" }); h!(x, NotSourced { what: "c-d" }); k(NotSourced { what }) }"#;
        let found = parse(text).unwrap().literals;
        let values: Vec<_> = found.iter().map(|literal| literal.fields[0].1.as_deref()).collect();
        assert_eq!(values, [Some("a-b"), Some("c-d"), None]);
    }
}
