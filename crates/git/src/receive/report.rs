//! git's report on a push (gitprotocol-pack, "Report Status").

use std::collections::HashSet;

use bytes::BytesMut;

use crate::Rejected;
use crate::packet::{self, Packet};

/// What git says it has done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Report {
    unpacked: bool,
    pub(super) accepted: HashSet<String>,
    pub(super) rejected: Vec<Rejected>,
}

impl Report {
    /// Reads the packets of the report; a cut one is read as far as it goes.
    pub(super) fn parse(packets: &[u8]) -> Self {
        let mut buffer = BytesMut::from(packets);
        let mut report = Self::default();
        while let Ok(Some(packet)) = packet::take(&mut buffer) {
            if let Packet::Data(line) = packet {
                report.add(String::from_utf8_lossy(&line).trim_end());
            }
        }
        report
    }

    fn add(&mut self, line: &str) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "unpack" => self.unpacked = true,
            "ok" => {
                self.accepted.insert(rest.to_owned());
            }
            "ng" => {
                let (name, reason) = rest.split_once(' ').unwrap_or((rest, ""));
                self.rejected.push(Rejected {
                    name: name.to_owned(),
                    reason: reason.to_owned(),
                });
            }
            // `option …` tells details of the `ok` before it (report-status-v2).
            _ => {}
        }
    }

    /// Whether there was a report at all: git writes it in one go.
    pub(super) fn is_complete(&self) -> bool {
        self.unpacked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report() {
        let lines = [
            "unpack ok\n",
            "ok refs/heads/a b\n",
            "option refname refs/heads/x\n",
            "ng refs/tags/v1 hook declined\n",
        ];
        let packets: Vec<u8> = lines
            .iter()
            .flat_map(|line| packet::data(&[line.as_bytes()]))
            .collect();
        let report = Report::parse(&packets);
        assert!(report.is_complete());
        assert!(report.accepted.contains("refs/heads/a b"));
        assert_eq!(report.rejected[0].name, "refs/tags/v1");
        assert_eq!(report.rejected[0].reason, "hook declined");
        assert!(!Report::parse(b"").is_complete());
        assert!(!Report::parse(b"zzzz").is_complete());
    }
}
