//! Holds what deny.toml says about dependencies, also where cargo-deny is not installed: allowed
//! licences, forbidden crates, the one source.

use cargo_metadata::{Metadata, MetadataCommand, Package};
use serde::Deserialize;

#[derive(Deserialize)]
struct Deny {
    licenses: Licenses,
    bans: Bans,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Banned>,
}

#[derive(Deserialize)]
struct Banned {
    #[serde(rename = "crate")]
    name: String,
}

#[test]
fn every_dependency_has_an_allowed_licence_and_none_is_forbidden() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let text = fs_err::read_to_string(format!("{root}/deny.toml")).unwrap();
    let deny: Deny = toml::from_str(&text).unwrap();
    let metadata = MetadataCommand::new()
        .current_dir(root)
        .other_options(vec![
            "--filter-platform".to_owned(),
            "x86_64-unknown-linux-gnu".to_owned(),
        ])
        .exec()
        .unwrap();
    let mut problems = Vec::new();
    for package in resolved(&metadata) {
        let licence = package.license.as_deref().unwrap_or_default();
        if !is_allowed(licence, &deny.licenses.allow) {
            problems.push(format!("{}: licence `{licence}`", package.name));
        }
        if deny
            .bans
            .deny
            .iter()
            .any(|banned| banned.name == *package.name)
        {
            problems.push(format!("{}: forbidden by deny.toml", package.name));
        }
        let from_registry = package
            .source
            .as_ref()
            .is_none_or(|source| source.is_crates_io());
        if !from_registry {
            problems.push(format!("{}: not from the crates' registry", package.name));
        }
    }
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn licences_are_read_as_spdx_means_them() {
    let allowed = ["MIT", "Apache-2.0"].map(str::to_owned);
    for (licence, expected) in [
        ("MIT", true),
        ("MIT OR GPL-3.0", true),
        ("MIT/GPL-3.0", true),
        ("MIT AND GPL-3.0", false),
        ("(MIT OR GPL-3.0) AND Apache-2.0", true),
        ("GPL-3.0", false),
        ("", false),
    ] {
        assert_eq!(is_allowed(licence, &allowed), expected, "{licence}");
    }
}

/// Every package that the workspace is built of on this platform.
fn resolved(metadata: &Metadata) -> impl Iterator<Item = &Package> {
    let resolve = metadata
        .resolve
        .as_ref()
        .expect("dependencies were asked for");
    resolve.nodes.iter().map(|node| &metadata[&node.id])
}

/// Every part joined by `AND` must have an alternative that is allowed; parentheses never hold an
/// `AND` in the licences in use.
fn is_allowed(licence: &str, allowed: &[String]) -> bool {
    let one = |name: &str| allowed.iter().any(|other| other == name);
    licence.split(" AND ").all(|part| {
        part.trim_matches(['(', ')'])
            .replace('/', " OR ")
            .split(" OR ")
            .any(|name| one(name.trim().trim_matches(['(', ')'])))
    })
}
