//! Why a command did not do what it was asked for.

use std::error::Error;
use std::fmt;
use std::io;
use std::process::ExitCode;

/// An error as the user sees it: what, why, and how to mend it.
#[derive(Debug)]
pub(crate) struct Failure {
    fault: Fault,
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
}

/// Whose fault it is; this fixes the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The user's world: 1.
    User,
    /// The command line: 2.
    Usage,
    /// Lotse itself: 70.
    Internal,
    /// Nobody's: whoever read our output has seen enough. 0, and nothing is said.
    Reader,
    /// The user pressed Ctrl-C: 130, and nothing is said.
    Interrupted,
}

/// Without hints.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for cause in &self.causes {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

impl Failure {
    /// Something outside of Lotse has to change.
    pub(crate) fn user(message: impl Into<String>) -> Self {
        Self::new(Fault::User, message)
    }

    /// The command line has to change.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Fault::Usage, message)
    }

    /// Lotse has to change.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(Fault::Internal, message)
    }

    /// The user pressed Ctrl-C.
    pub(crate) fn interrupted() -> Self {
        Self::new(Fault::Interrupted, "interrupted")
    }

    fn new(fault: Fault, message: impl Into<String>) -> Self {
        Self {
            fault,
            message: message.into(),
            causes: Vec::new(),
            hint: None,
        }
    }

    /// Adds the mend.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The mend.
    pub(crate) fn mend(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Adds an error and everything below it.
    pub(crate) fn because(mut self, error: &(dyn Error + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(cause) = next {
            next = cause.source();
            let text = cause.to_string();
            // Many errors repeat their source in their own text.
            if !self.causes.iter().any(|known| known.contains(&text)) {
                self.causes.push(text);
            }
        }
        self
    }

    /// Standard output could not be written.
    pub(crate) fn output(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::new(Fault::Reader, "");
        }
        Self::user("cannot write to standard output").because(error)
    }

    /// Says it on standard error, and returns the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        if !matches!(self.fault, Fault::Reader | Fault::Interrupted) {
            eprint!("{}", self.render());
        }
        self.exit_code()
    }

    fn render(&self) -> String {
        let mut text = format!("error: {self}\n");
        for line in self.hint.iter().flat_map(|hint| hint.lines()) {
            text += &format!("hint: {line}\n");
        }
        if self.fault == Fault::Internal {
            text += "hint: this is a fault of Lotse; please report it with the lines above\n";
        }
        text
    }

    fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self.fault {
            Fault::User => 1,
            Fault::Usage => 2,
            Fault::Internal => 70,
            Fault::Reader => 0,
            Fault::Interrupted => 130,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_why_and_the_mend() {
        let cause = io::Error::other("disk is gone");
        let failure = Failure::user("cannot read it")
            .because(&cause)
            .hint("plug it in");
        assert_eq!(
            failure.render(),
            "error: cannot read it: disk is gone\nhint: plug it in\n"
        );
    }

    #[test]
    fn a_closed_pipe_is_no_error() {
        let failure = Failure::output(&io::ErrorKind::BrokenPipe.into());
        assert_eq!(failure.fault, Fault::Reader);
    }
}
