//! Cases as files: `input ---------- expected`, and what is found is held against what is expected.

use std::path::{Path, PathBuf};

const LINE: &str = "----------\n";

/// Checks every file of `folder`, of which there must be at least `least`. With `BLESS=1` in the
/// environment, what is found is written as expected.
///
/// # Panics
/// With all that is not as expected.
pub fn cases(folder: &Path, least: usize, check: impl Fn(&str) -> String) {
    let paths = files(folder);
    assert!(paths.len() >= least, "only {} cases", paths.len());
    let bless = std::env::var_os("BLESS").is_some();
    let failures: Vec<String> = paths
        .iter()
        .filter_map(|path| failure(path, &check, bless))
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

fn failure(path: &Path, check: &impl Fn(&str) -> String, bless: bool) -> Option<String> {
    let text = fs_err::read_to_string(path).expect("a case can be read");
    let (input, expected) = text.split_once(LINE).unwrap_or((&text, ""));
    let found = check(input);
    if found == expected {
        return None;
    }
    if bless {
        fs_err::write(path, format!("{input}{LINE}{found}")).expect("a case can be written");
        return None;
    }
    Some(format!("{}:\n{found}", path.display()))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs_err::read_dir(folder).expect("the folder of cases can be read");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry can be read").path())
        .collect();
    paths.sort();
    paths
}
