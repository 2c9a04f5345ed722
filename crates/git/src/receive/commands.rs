//! The beginning of a push: which refs the client wants to change (gitprotocol-pack, "Reference
//! Update Request and Packfile Transfer").
//!
//! Anything in it that is not understood is refused: what is judged here and what git does must be
//! the same.

use bytes::{Bytes, BytesMut};
use model::CommitIdError;

use crate::body::Body;
use crate::packet::{self, Packet};
use crate::{GitError, ObjectId, RefUpdate};

/// The longest list, in bytes; some 70,000 refs.
pub(crate) const LIMIT: u64 = 8 << 20;

/// The changes that a client asks for.
pub(crate) struct Commands {
    /// In the client's order.
    pub(crate) list: Vec<Command>,
    /// The texts of `git push -o`.
    pub(crate) options: Vec<String>,
    /// Whether the client can show lines of ours.
    pub(crate) side_band: bool,
    /// Everything that was read, the beginning of the pack included.
    pub(crate) raw: Bytes,
}

/// One change that a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Command {
    /// The full name of the ref.
    pub(crate) name: String,
    /// What the client has seen there.
    pub(crate) old: Option<ObjectId>,
    /// What is to be there.
    pub(crate) new: Option<ObjectId>,
}

impl Command {
    pub(crate) fn to_update(&self) -> RefUpdate {
        RefUpdate {
            name: self.name.clone(),
            old: self.old.clone(),
            new: self.new.clone(),
            commit: None,
        }
    }
}

impl Commands {
    /// Reads as far as the pack.
    pub(crate) async fn read(body: &mut Body) -> Result<Self, GitError> {
        let mut packets = Packets {
            body,
            buffer: BytesMut::new(),
            raw: BytesMut::new(),
        };
        let mut commands = Self {
            list: Vec::new(),
            options: Vec::new(),
            side_band: false,
            raw: Bytes::new(),
        };
        let mut capabilities = String::new();
        while let Some(line) = packets.next().await? {
            commands.add(&line, &mut capabilities)?;
        }
        commands.check_capabilities(&capabilities)?;
        if capabilities.split(' ').any(|word| word == "push-options") {
            while let Some(option) = packets.next().await? {
                commands.options.push(option);
            }
        }
        commands.raw = packets.into_raw();
        Ok(commands)
    }

    fn add(&mut self, line: &str, capabilities: &mut String) -> Result<(), GitError> {
        if let Some(id) = line.strip_prefix("shallow ") {
            return id.parse::<ObjectId>().map(drop).map_err(invalid_id);
        }
        let (line, list) = line.split_once('\0').unwrap_or((line, ""));
        if self.list.is_empty() {
            list.trim().clone_into(capabilities);
        }
        let mut words = line.splitn(3, ' ');
        let mut id = || ObjectId::from_wire(words.next().unwrap_or_default()).map_err(invalid_id);
        let (old, new) = (id()?, id()?);
        let name = words.next().unwrap_or_default().to_owned();
        if name.is_empty() {
            return Err(GitError::invalid("a change names no ref"));
        }
        self.list.push(Command { name, old, new });
        Ok(())
    }

    fn check_capabilities(&mut self, capabilities: &str) -> Result<(), GitError> {
        let has = |wanted: &str| capabilities.split(' ').any(|word| word == wanted);
        self.side_band = has("side-band-64k");
        if self.list.is_empty() || has("report-status") || has("report-status-v2") {
            return Ok(());
        }
        Err(GitError::invalid(
            "the client does not ask for a report (report-status); use a newer git",
        ))
    }
}

fn invalid_id(_: CommitIdError) -> GitError {
    GitError::invalid("a change does not begin with two object ids")
}

/// The packets at the beginning of a body.
struct Packets<'a> {
    body: &'a mut Body,
    buffer: BytesMut,
    raw: BytesMut,
}

impl Packets<'_> {
    /// The next line; none at the end of the list.
    async fn next(&mut self) -> Result<Option<String>, GitError> {
        loop {
            match packet::take(&mut self.buffer)? {
                Some(Packet::Flush) => return Ok(None),
                Some(Packet::Data(data)) => return line(&data).map(Some),
                None => self.fill().await?,
            }
        }
    }

    async fn fill(&mut self) -> Result<(), GitError> {
        let chunk = self.body.next().await?;
        let chunk = chunk.ok_or_else(|| GitError::invalid("the list of changes is cut off"))?;
        self.buffer.extend_from_slice(&chunk);
        self.raw.extend_from_slice(&chunk);
        if self.raw.len() as u64 > LIMIT + chunk.len() as u64 {
            return Err(GitError::TooLarge {
                what: "the list of changes".to_owned(),
                limit: LIMIT,
            });
        }
        Ok(())
    }

    fn into_raw(self) -> Bytes {
        self.raw.freeze()
    }
}

fn line(data: &[u8]) -> Result<String, GitError> {
    let text = data.strip_suffix(b"\n").unwrap_or(data);
    let text = std::str::from_utf8(text);
    text.map(str::to_owned)
        .map_err(|_| GitError::invalid("the name of a ref or an option is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use futures_util::stream::{self, StreamExt as _};

    use super::*;
    use crate::Encoding;

    const A: &str = "0123456789abcdef0123456789abcdef01234567";
    const ZERO: &str = "0000000000000000000000000000000000000000";

    async fn read(packets: &[&str], rest: &str, chunk: usize) -> Result<Commands, GitError> {
        let mut bytes = Vec::new();
        for text in packets {
            match *text {
                "flush" => bytes.extend_from_slice(packet::FLUSH),
                text => bytes.extend_from_slice(&packet::data(&[text.as_bytes()])),
            }
        }
        bytes.extend_from_slice(rest.as_bytes());
        let chunks: Vec<_> = bytes
            .chunks(chunk)
            .map(|chunk| Ok(Bytes::copy_from_slice(chunk)))
            .collect();
        let source = stream::iter(chunks).boxed();
        let mut body = Body::new(source, Encoding::Identity, u64::MAX);
        let commands = Commands::read(&mut body).await?;
        assert!(bytes.starts_with(&commands.raw));
        Ok(commands)
    }

    #[tokio::test]
    async fn changes_and_options() {
        let first = format!("{ZERO} {A} refs/heads/main\0report-status side-band-64k push-options");
        let second = format!("{A} {ZERO} refs/tags/a b\n");
        let packets = [
            &first,
            &second,
            "flush",
            "ci.skip",
            "ci.variable=A=b",
            "flush",
        ];
        for chunk in [1, 7, 10_000] {
            let commands = read(&packets, "PACK…", chunk).await.unwrap();
            assert!(commands.side_band);
            assert_eq!(commands.options, ["ci.skip", "ci.variable=A=b"]);
            let names: Vec<_> = commands.list.iter().map(|c| c.name.as_str()).collect();
            assert_eq!(names, ["refs/heads/main", "refs/tags/a b"]);
            assert!(commands.list[0].old.is_none() && commands.list[1].new.is_none());
        }
    }

    #[tokio::test]
    async fn what_is_not_understood_is_refused() {
        let good = format!("{ZERO} {A} refs/heads/main\0report-status");
        for packets in [
            &[][..],
            &["x", "flush"],
            &["push-cert\0report-status", "flush"],
            &[&good],
            &[&good, "shallow x", "flush"],
            &[&format!("{ZERO} {A} refs/heads/main"), "flush"],
            &[&format!("{ZERO} {A}\0report-status"), "flush"],
            &[&format!("{ZERO} {A} \0report-status"), "flush"],
        ] {
            assert!(read(packets, "", 100).await.is_err(), "{packets:?}");
        }
    }

    #[tokio::test]
    async fn an_endless_list_ends() {
        let change = format!("{ZERO} {A} refs/heads/main\0report-status");
        let packets = vec![change.as_str(); 100_000];
        let error = read(&packets, "", 60_000).await.err().unwrap();
        assert!(matches!(error, GitError::TooLarge { .. }), "{error}");
    }
}
