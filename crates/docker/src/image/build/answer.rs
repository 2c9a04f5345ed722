//! A builder's answer: one JSON object a line, of which the last may be an error.

use bollard::models::BuildInfo;
use model::Digest;

use super::BuildProgress;
use crate::error::Problem;
use crate::image::progress_of;

/// No object is larger, in bytes.
const LARGEST: usize = 4 << 20;

/// Makes objects of pieces, and keeps what they come to.
#[derive(Default)]
pub(super) struct Answers {
    open: Vec<u8>,
    id: Option<Digest>,
}

impl Answers {
    /// Takes a piece, and tells of all that is whole now.
    pub(super) fn take(
        &mut self,
        piece: &[u8],
        tell: &mut impl FnMut(BuildProgress),
    ) -> Result<(), Problem> {
        for byte in piece.split_inclusive(|byte| *byte == b'\n') {
            self.open.extend_from_slice(byte);
            if self.open.ends_with(b"\n") {
                self.line(tell)?;
            }
            if self.open.len() > LARGEST {
                return Err(Problem::TooLong(LARGEST));
            }
        }
        Ok(())
    }

    /// The image's id, when nothing more comes.
    pub(super) fn end(mut self) -> Result<Digest, Problem> {
        self.line(&mut |_| {})?;
        let ended = || Problem::Broken("the build ended without an image".to_owned());
        self.id.ok_or_else(ended)
    }

    fn line(&mut self, tell: &mut impl FnMut(BuildProgress)) -> Result<(), Problem> {
        let line = std::mem::take(&mut self.open);
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        let strange = |error: serde_json::Error| Problem::Strange(error.to_string());
        let said: BuildInfo = serde_json::from_slice(&line).map_err(strange)?;
        if let Some(error) = said.error_detail {
            return Err(Problem::Refused {
                status: None,
                message: error.message.unwrap_or_default(),
            });
        }
        if let Some(id) = said.aux.and_then(|aux| aux.id) {
            self.id = id.parse().ok();
        }
        if let Some(text) = said.stream {
            tell(BuildProgress::Output(text));
        }
        if said.status.is_some() {
            let step = progress_of(said.id, said.status, said.progress_detail);
            tell(BuildProgress::Pull(step));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    /// What is heard of pieces, and how it ends.
    fn check(pieces: &[&str]) -> (Vec<BuildProgress>, Result<String, String>) {
        let (mut answers, mut heard) = (Answers::default(), Vec::new());
        for piece in pieces {
            let taken = answers.take(piece.as_bytes(), &mut |said| heard.push(said));
            if let Err(error) = taken {
                return (heard, Err(error.to_string()));
            }
        }
        let end = answers.end();
        let end = end
            .map(|id| id.to_string())
            .map_err(|error| error.to_string());
        (heard, end)
    }

    #[test]
    fn output_and_id() {
        let aux = format!("{{\"aux\":{{\"ID\":\"{ID}\"}}}}\r\n");
        let pieces = ["{\"stream\":\"Step", " 1/1\\n\"}\r\n\r\n", &aux];
        let (heard, end) = check(&pieces);
        assert_eq!(heard, [BuildProgress::Output("Step 1/1\n".to_owned())]);
        assert_eq!(end, Ok(ID.to_owned()));
    }

    #[test]
    fn a_pull_is_heard() {
        let line = r#"{"status":"Downloading","progressDetail":{"current":1,"total":2},"id":"ab"}"#;
        let (heard, end) = check(&[line, "\n"]);
        let [BuildProgress::Pull(step)] = heard.as_slice() else {
            panic!("{heard:?}");
        };
        assert_eq!(
            (step.layer.as_str(), step.done, step.total),
            ("ab", Some(1), Some(2))
        );
        assert!(end.unwrap_err().contains("without an image"));
    }

    #[test]
    fn errors() {
        let line = r#"{"errorDetail":{"code":2,"message":"no such step"},"error":"no such step"}"#;
        assert_eq!(check(&[line]).1, Err("no such step".to_owned()));
        assert!(check(&["<html>\n"]).1.is_err());
        assert!(check(&["[".repeat(LARGEST + 1).as_str()]).1.is_err());
    }
}
