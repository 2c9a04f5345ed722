//! `$[[ matrix.NAME ]]` in `needs`: what the job that needs has at its own place in its matrix (GitLab,
//! "Matrix expressions").

use crate::draft::Part;

/// The text with its expressions replaced, or the first name in them that the job's matrix does not have.
pub(super) fn fill(text: &str, part: &Part) -> Result<String, String> {
    let place = part.parallel.as_ref().and_then(|one| one.matrix.as_deref());
    let value = |name: &str| {
        let found = place
            .unwrap_or_default()
            .iter()
            .find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    };
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(end) = rest.find("]]") {
        match expression(&rest[..end]) {
            Some((before, name)) => {
                out.push_str(before);
                out.push_str(value(name).ok_or_else(|| name.to_owned())?);
            }
            None => out.push_str(&rest[..end + 2]),
        }
        rest = &rest[end + 2..];
    }
    out.push_str(rest);
    Ok(out)
}

/// The name in an expression that ends with this text, and what stands in front of it.
fn expression(text: &str) -> Option<(&str, &str)> {
    let (before, block) = text.rsplit_once("$[[")?;
    let name = block.trim().strip_prefix("matrix.")?;
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    (!name.is_empty() && name.chars().all(word)).then_some((before, name))
}
