//! Which changes of refs a push may not make.

/// Whether a push may move or delete a tag that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TagPolicy {
    /// A tag stays what it is: something may have been deployed under its name.
    #[default]
    Fixed,
    /// Tags move like branches.
    Movable,
}

/// A change that is refused, with the reason that the user sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DenyRule {
    /// The full name of the refs, in which `*` stands for any text: `refs/heads/release/*`.
    pub refs: String,
    /// Which change is refused.
    pub change: Change,
    /// What is wrong, without `error:`.
    pub message: String,
    /// The mend, without `hint:`.
    pub hint: String,
}

/// What a push does to a ref.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Anything.
    Any,
    /// It did not exist.
    Create,
    /// It existed and points elsewhere now.
    Update,
    /// It existed, and the new commit does not contain the old one (a forced push).
    Rewrite,
    /// It is removed.
    Delete,
}
