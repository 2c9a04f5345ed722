//! What people call a release.

use std::path::Path;
use std::process::{Command, Stdio};

/// Longer ones are cut.
const LONGEST: usize = 100;

/// The tag or commit that a release is made from: what the job says, else what git says of the
/// folder.
pub(super) fn of(folder: &Path) -> Option<String> {
    let tag = ["CI_COMMIT_TAG", "CI_COMMIT_SHORT_SHA"]
        .iter()
        .find_map(|name| std::env::var(name).ok())
        .filter(|tag| !tag.is_empty());
    tag.or_else(|| described(folder)).map(|label| cut(&label))
}

/// `v1.2.0`, `v1.2.0-3-g1234567-dirty`, `1234567`.
fn described(folder: &Path) -> Option<String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(["describe", "--tags", "--always", "--dirty"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim();
    (output.status.success() && !text.is_empty()).then(|| text.to_owned())
}

/// On one line, as tables show it.
pub(super) fn cut(label: &str) -> String {
    let clean = label.chars().filter(|char| !char.is_control());
    clean.take(LONGEST).collect()
}
