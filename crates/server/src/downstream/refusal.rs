//! Why a trigger job starts nothing, on the server and in `lotse ci run`.

/// Why a trigger job starts nothing.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// GitLab's word.
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }

    /// Everything is allowed, but no pipeline comes of it.
    pub(crate) fn cannot_be_made(message: impl Into<String>) -> Self {
        Self::new("downstream_pipeline_creation_failed", message)
    }
}
