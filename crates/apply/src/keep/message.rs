//! What is asked through `exec`, and what is answered: each on one line.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use deploy::host::LockSeen;
use deploy::{Entry, Holder, Lease, Record, Release};
use edge::control::Request;
use edge::spec::RouteSpec;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::owner::Owner;

/// No line is longer, in bytes: a record with many releases and their files is far below.
pub(super) const LONGEST: usize = 64 << 20;

/// A question.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Ask {
    /// For [`Kept`].
    Look(Owner),
    /// The lock; answered by [`Locked`].
    Lock(Owner, Lease),
    /// That the lease begins anew; answered by [`Locked`].
    Renew(Owner, Lease),
    /// The lock back, where this holder has it.
    Unlock(Owner, Holder),
    /// The lock away from whoever has it; answered by who had it.
    Break(Owner),
    /// An entry into the record.
    Enter(Box<Entering>),
    /// That a volume is as told from now on.
    Mark(Owner, String, Fill),
    /// The edge; answered by what it answers.
    Edge(Box<Request>),
    /// Whether the targets of these routes are well, until the deadline.
    Probe(Vec<RouteSpec>, edge::Span),
}

/// An entry into the record.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entering {
    pub(crate) owner: Owner,
    /// It is refused when somebody else has the lock.
    pub(crate) holder: Option<Holder>,
    pub(crate) entry: Entry,
    pub(crate) definition: Option<Arc<Release>>,
}

/// A line of an answer: steps, then one that says how it ended.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Line {
    Step(edge::Event),
    Done(Value),
    Failed(String),
}

/// What came of a question for the lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Locked {
    /// Whoever asked has it.
    Yours,
    /// Somebody else has a live one, or, when a lease was to be renewed, nobody has.
    Theirs(Option<LockSeen>),
}

/// All that is kept for one owner, and how the host is beside it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Kept {
    #[serde(default)]
    pub(crate) lock: Option<LockSeen>,
    #[serde(default)]
    pub(crate) record: Record,
    #[serde(default)]
    pub(crate) fills: BTreeMap<String, Fill>,
    /// The edge's [`edge::Status`] in the words of its version; nothing when it does not answer.
    #[serde(default)]
    pub(crate) edge: Option<Value>,
    /// Addresses of the host that somebody listens at, the edge among them.
    #[serde(default)]
    pub(crate) listening: Vec<SocketAddr>,
}

/// How far the filling of a volume is. The token is a label of the volume too: another volume of
/// the same name is not meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fill {
    pub(crate) token: String,
    pub(crate) done: bool,
}
