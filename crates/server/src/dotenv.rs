//! The `dotenv` report: variables that a job hands on to others.

use std::io::Read as _;

use flate2::read::MultiGzDecoder;
use model::Variable;

/// GitLab's limit for the file, in bytes.
const MAX_SIZE: u64 = 5 * 1024;

/// The variables of a compressed report.
///
/// # Errors
/// In words, when it is too large, or a line is no `NAME=value` (GitLab, "artifacts:reports:dotenv").
pub(crate) fn read(compressed: &[u8]) -> Result<Vec<Variable>, String> {
    let mut text = String::new();
    let mut decoder = MultiGzDecoder::new(compressed).take(MAX_SIZE + 1);
    decoder
        .read_to_string(&mut text)
        .map_err(|error| format!("the dotenv report cannot be read: {error}"))?;
    if text.len() as u64 > MAX_SIZE {
        return Err(format!("the dotenv report has more than {MAX_SIZE} bytes"));
    }
    let lines = text.lines().zip(1..);
    let lines = lines.filter(|(line, _)| !line.trim().is_empty());
    lines.map(|(line, number)| variable(line, number)).collect()
}

fn variable(line: &str, number: usize) -> Result<Variable, String> {
    let wrong = || format!("line {number} of the dotenv report is no `NAME=value`");
    let (name, value) = line.split_once('=').ok_or_else(wrong)?;
    let name = name.trim();
    let begins = |c: char| c.is_ascii_alphabetic() || c == '_';
    let goes_on = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !name.starts_with(begins) || !name.chars().all(goes_on) {
        return Err(wrong());
    }
    Ok(Variable::public(name, value.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn check(text: &str) -> Result<Vec<(String, String)>, String> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        let variables = read(&encoder.finish().unwrap())?;
        let pair = |one: Variable| (one.key, one.value.expose().to_owned());
        Ok(variables.into_iter().map(pair).collect())
    }

    #[test]
    fn names_and_values() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            check("A=1\n\n B_2 = x=y \n"),
            Ok(vec![pair("A", "1"), pair("B_2", "x=y")])
        );
        for wrong in ["A", "=x", "1A=x", "A B=x", "# a=b"] {
            assert!(
                check(&format!("OK=1\n{wrong}\n"))
                    .unwrap_err()
                    .contains("line 2"),
                "{wrong}"
            );
        }
        assert!(check(&format!("A={}", "x".repeat(6000))).is_err());
        assert!(read(b"no gzip").is_err());
    }
}
