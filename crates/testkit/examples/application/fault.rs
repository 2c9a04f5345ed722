//! What a role does wrong, as `FAULT=ROLE:KIND` says.

use std::io;
use std::sync::Once;
use std::thread;
use std::time::Duration;

/// A fault, or none.
pub(crate) struct Fault {
    kind: String,
    begun: Once,
}

impl Fault {
    /// The fault of this role.
    pub(crate) fn of(role: &str) -> Self {
        let fault = std::env::var("FAULT").unwrap_or_default();
        let kind = fault
            .split_once(':')
            .filter(|(whose, _)| *whose == role)
            .map(|(_, kind)| kind.to_owned());
        Self {
            kind: kind.unwrap_or_default(),
            begun: Once::new(),
        }
    }

    /// `exits` soon; `silent` runs and listens nowhere. A host can be broken too: by a file
    /// `broken` in its storage.
    pub(crate) fn at_start(&self) -> io::Result<()> {
        match self.kind.as_str() {
            "exits" => {
                // Of a program that ends in the moment of its start a busy engine says status 0.
                thread::sleep(Duration::from_millis(300));
                Err(io::Error::other("the settings are incomplete"))
            }
            _ if std::fs::exists("/srv/data/broken")? => {
                Err(io::Error::other("the storage of this host is broken"))
            }
            "silent" => loop {
                thread::park();
            },
            _ => Ok(()),
        }
    }

    /// What the health check of the container hears.
    pub(crate) fn is_healthy(&self) -> bool {
        self.kind != "unhealthy"
    }

    /// What the edge hears at `/ping`.
    pub(crate) fn answers_ping(&self) -> bool {
        self.kind != "ping"
    }

    pub(crate) fn fails_migration(&self) -> bool {
        self.kind == "migration"
    }

    /// `crash-N`: ends N seconds after its first request.
    pub(crate) fn at_request(&self) {
        let Some(seconds) = self.kind.strip_prefix("crash-") else {
            return;
        };
        let wait = Duration::from_secs(seconds.parse().unwrap_or(0));
        self.begun.call_once(|| {
            thread::spawn(move || {
                thread::sleep(wait);
                println!("fatal: out of luck after {wait:?}");
                std::process::exit(1);
            });
        });
    }
}
