//! Holds the table of crates in ARCHITECTURE.md: who may use whom.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// `crate` → the crates of ours that the table lets it use.
type Table = BTreeMap<String, BTreeSet<String>>;

/// Any crate may use these in its tests.
const FOR_TESTS: [&str; 2] = ["lab", "testkit"];

#[test]
fn every_crate_uses_only_what_the_table_allows() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let text = fs_err::read_to_string(format!("{root}/ARCHITECTURE.md")).unwrap();
    let table = table(&text);
    let used = used(root);
    let known: BTreeSet<_> = table.keys().collect();
    assert_eq!(
        known,
        used.keys().collect(),
        "ARCHITECTURE.md lists each crate once"
    );
    for (name, uses) in &used {
        let forbidden: Vec<_> = uses.difference(&table[name]).collect();
        assert!(
            forbidden.is_empty(),
            "{name} uses {forbidden:?}, which the table in ARCHITECTURE.md does not allow"
        );
    }
}

#[test]
fn the_table_is_read_as_it_is_meant() {
    let table = table(
        "| crate | duty | may use |\n|---|---|---|\n| `a` | words | – |\n| `b` | x | `a` |\n| `c` | y | all |\n",
    );
    assert!(table["a"].is_empty());
    assert_eq!(table["b"], BTreeSet::from(["a".to_owned()]));
    assert_eq!(table["c"], BTreeSet::from(["a".to_owned(), "b".to_owned()]));
}

/// Reads the rows `| `name` | duty | may use |`; `all` is every crate above.
fn table(text: &str) -> Table {
    let mut table = Table::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, name, _, uses, _] = cells[..] else {
            continue;
        };
        let Some(name) = name.strip_prefix('`').and_then(|n| n.strip_suffix('`')) else {
            continue;
        };
        let uses = if uses == "all" {
            table.keys().cloned().collect()
        } else {
            uses.split('`')
                .skip(1)
                .step_by(2)
                .map(str::to_owned)
                .collect()
        };
        table.insert(name.to_owned(), uses);
    }
    table
}

/// What each crate really uses of ours; helpers for tests count only outside of tests.
fn used(root: &str) -> Table {
    let metadata = MetadataCommand::new()
        .current_dir(root)
        .no_deps()
        .exec()
        .expect("cargo describes the workspace");
    let ours: BTreeSet<String> = metadata
        .workspace_packages()
        .iter()
        .map(|package| package.name.to_string())
        .collect();
    metadata
        .workspace_packages()
        .iter()
        .map(|package| {
            let uses = package
                .dependencies
                .iter()
                .filter(|used| ours.contains(&used.name))
                .filter(|used| {
                    used.kind != DependencyKind::Development
                        || !FOR_TESTS.contains(&used.name.as_str())
                })
                .map(|used| used.name.clone())
                .collect();
            (package.name.to_string(), uses)
        })
        .collect()
}
