//! A commit's own words: who, when, why.

use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, Zoned};
use model::CommitId;

/// What a commit says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitInfo {
    /// Its id.
    pub id: CommitId,
    /// Its parents, the first one first.
    pub parents: Vec<CommitId>,
    /// Who wrote the change.
    pub author: Signature,
    /// Who made the commit.
    pub committer: Signature,
    /// The message's first line.
    pub title: String,
    /// The whole message.
    pub message: String,
    /// `CI_COMMIT_DESCRIPTION`: the message without its first line; the whole message when the
    /// first line has 100 characters or more.
    pub description: String,
}

/// A person and a moment, as a commit records them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The name; may be empty.
    pub name: String,
    /// The address; may be empty.
    pub email: String,
    /// When, with the person's own offset from UTC.
    pub time: Zoned,
}

impl Signature {
    /// `Name <address>`, as in `CI_COMMIT_AUTHOR`.
    pub fn name_and_email(&self) -> String {
        format!("{} <{}>", self.name, self.email)
    }

    /// ISO 8601 with the person's offset, `2026-11-22T10:00:00+01:00`, as in
    /// `CI_COMMIT_TIMESTAMP`.
    pub fn iso8601(&self) -> String {
        self.time.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
    }
}

/// Reads a commit object (gitformat of `git cat-file commit`): headings, an empty line, the
/// message. Whatever is missing or broken becomes empty: history cannot be mended.
pub(crate) fn parse_commit(id: CommitId, content: &[u8]) -> CommitInfo {
    let text = String::from_utf8_lossy(content);
    let (headings, message) = text.split_once("\n\n").unwrap_or((&text, ""));
    let values = |key: &'static str| {
        headings
            .lines()
            .filter_map(move |line| line.strip_prefix(key)?.strip_prefix(' '))
    };
    let signature = |key| parse_signature(values(key).next().unwrap_or_default());
    let (title, rest) = message.split_once('\n').unwrap_or((message, ""));
    let description = if title.chars().count() < 100 {
        rest.trim()
    } else {
        message.trim_end()
    };
    CommitInfo {
        id,
        parents: values("parent").filter_map(|id| id.parse().ok()).collect(),
        author: signature("author"),
        committer: signature("committer"),
        title: title.trim_end().to_owned(),
        description: description.to_owned(),
        message: message.to_owned(),
    }
}

/// The message in a tag object, without the signature at its end.
pub(crate) fn tag_message(content: &[u8]) -> String {
    let text = String::from_utf8_lossy(content);
    let (_, message) = text.split_once("\n\n").unwrap_or(("", ""));
    let signature = [
        "-----BEGIN PGP SIGNATURE-----",
        "-----BEGIN SSH SIGNATURE-----",
        "-----BEGIN SIGNED MESSAGE-----",
    ]
    .iter()
    .filter_map(|start| message.find(start))
    .min();
    message[..signature.unwrap_or(message.len())]
        .trim_end()
        .to_owned()
}

/// `Name <address> SECONDS OFFSET`.
fn parse_signature(text: &str) -> Signature {
    let (name, rest) = text.split_once('<').unwrap_or((text, ""));
    let (email, time) = rest.rsplit_once('>').unwrap_or((rest, ""));
    let mut words = time.split_whitespace();
    let seconds = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
    let offset = words.next().and_then(parse_offset).unwrap_or(Offset::UTC);
    let moment = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
    Signature {
        name: name.trim().to_owned(),
        email: email.trim().to_owned(),
        time: moment.to_zoned(TimeZone::fixed(offset)),
    }
}

/// `+0130`.
fn parse_offset(text: &str) -> Option<Offset> {
    let number: i32 = text.parse().ok()?;
    Offset::from_seconds((number / 100 * 60 + number % 100).checked_mul(60)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef01234567";

    fn parse(content: &str) -> CommitInfo {
        parse_commit(ID.parse().unwrap(), content.as_bytes())
    }

    #[test]
    fn a_commit() {
        let commit = parse(&format!(
            "tree {ID}\nparent {ID}\nauthor A B <a@b.example> 1700000000 +0130\n\
             committer C <c@d.example> 1700000060 -0700\ngpgsig -----BEGIN\n parent x\n\n\
             Title\n\nbody one\nbody two\n"
        ));
        assert_eq!(commit.parents, [ID.parse().unwrap()]);
        assert_eq!(commit.author.name_and_email(), "A B <a@b.example>");
        assert_eq!(commit.author.iso8601(), "2023-11-14T23:43:20+01:30");
        assert_eq!(commit.committer.iso8601(), "2023-11-14T15:14:20-07:00");
        assert_eq!(commit.title, "Title");
        assert_eq!(commit.description, "body one\nbody two");
        assert_eq!(commit.message, "Title\n\nbody one\nbody two\n");
    }

    #[test]
    fn a_long_title_stays_in_the_description() {
        let title = "x".repeat(100);
        let commit = parse(&format!("tree {ID}\n\n{title}\n\nbody\n"));
        assert_eq!(commit.description, format!("{title}\n\nbody"));
    }

    #[test]
    fn broken_commits_become_empty_ones() {
        for content in [
            "",
            "\n\n",
            "author\n\n",
            "author < 99999999999999999999 +9999999999\n\nx",
            "author > 1 <\n\nx",
            "author a <b> -9223372036854775808 -99999\n\n",
        ] {
            assert!(
                parse(content).author.iso8601().starts_with("1970-01-01"),
                "{content:?}"
            );
        }
    }

    #[test]
    fn a_signed_tags_message() {
        let tag = b"object x\ntag v1\n\nFirst\n\nmore\n-----BEGIN PGP SIGNATURE-----\nabc\n";
        assert_eq!(tag_message(tag), "First\n\nmore");
    }
}
