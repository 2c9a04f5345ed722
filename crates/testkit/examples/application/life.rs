//! The end of the process. The standard library hears no signals, so the script that starts it turns
//! SIGTERM into the end of its input.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// What is under way, and whether it is the last.
#[derive(Default)]
pub(crate) struct Life {
    ending: AtomicBool,
    busy: AtomicUsize,
}

/// A request under way.
pub(crate) struct Busy<'a>(&'a Life);

impl Life {
    /// Waits for the word to end, beside all else. `STOP` says what follows: what is under way comes
    /// to its end (by default), or not (`at-once`), or the word is not heard (`never`).
    pub(crate) fn begin() -> Arc<Self> {
        let life = Arc::new(Self::default());
        let watched = Arc::clone(&life);
        thread::spawn(move || {
            let _ended = std::io::stdin().read_to_end(&mut Vec::new());
            match std::env::var("STOP").unwrap_or_default().as_str() {
                "never" => println!("told to stop, and goes on"),
                "at-once" => std::process::exit(0),
                _ => watched.end(),
            }
        });
        life
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }

    pub(crate) fn busy(&self) -> Busy<'_> {
        self.busy.fetch_add(1, Ordering::SeqCst);
        Busy(self)
    }

    fn end(&self) {
        self.ending.store(true, Ordering::SeqCst);
        println!("told to stop");
        while self.busy.load(Ordering::SeqCst) > 0 {
            thread::sleep(Duration::from_millis(10));
        }
        std::process::exit(0);
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::SeqCst);
    }
}
