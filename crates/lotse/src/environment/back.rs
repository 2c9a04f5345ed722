//! Which release a rollback goes to.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::str::FromStr;

use deploy::{Desired, Observed, ReleaseNumber};

use super::Hosts;
use crate::output::Failure;

/// A release as people name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Backward {
    Number(ReleaseNumber),
    Label(String),
}

impl FromStr for Backward {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.parse() {
            Ok(number) => Self::Number(ReleaseNumber(number)),
            Err(_) => Self::Label(text.to_owned()),
        })
    }
}

impl Backward {
    /// What to ask for: by default, what was before. Hosts are looked at for a label alone.
    pub(crate) async fn desired(wanted: Option<&Self>, hosts: &Hosts) -> Result<Desired, Failure> {
        Ok(match wanted {
            None => Desired::Back,
            Some(Self::Number(number)) => Desired::BackTo(*number),
            Some(Self::Label(label)) => {
                Desired::BackTo(labelled(label, &labels(&hosts.observe().await))?)
            }
        })
    }
}

/// Each release that a host remembers, with its label.
fn labels(observed: &Observed) -> BTreeMap<ReleaseNumber, String> {
    let reached = observed.values().filter_map(|seen| seen.as_ref().ok());
    let kept = reached.flat_map(|seen| &seen.record.releases);
    kept.filter_map(|(number, kept)| Some((*number, kept.release.label.clone()?)))
        .collect()
}

/// The newest release of that label.
fn labelled(
    label: &str,
    labels: &BTreeMap<ReleaseNumber, String>,
) -> Result<ReleaseNumber, Failure> {
    let mut fitting = labels.iter().filter(|(_, known)| *known == label);
    match fitting.next_back() {
        Some((number, _)) => Ok(*number),
        None => Err(
            Failure::user(format!("no host remembers a release called `{label}`"))
                .hint("`lotse releases` lists those that there are"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_labels() {
        assert_eq!("12".parse(), Ok(Backward::Number(ReleaseNumber(12))));
        assert_eq!("v1".parse(), Ok(Backward::Label("v1".to_owned())));
        let labels = BTreeMap::from([
            (ReleaseNumber(1), "v1".to_owned()),
            (ReleaseNumber(3), "v1".to_owned()),
        ]);
        assert_eq!(labelled("v1", &labels).unwrap(), ReleaseNumber(3));
        assert!(labelled("v2", &labels).is_err());
    }
}
