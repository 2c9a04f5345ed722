//! What a load's answers are held against: which release may answer which request.
//!
//! A request that is sent after an answer of release N was received must not be answered by an
//! older one. A doomed release (one whose set is taken back) may answer while it is on trial only.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::Target;

/// Between which answers the order of releases is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Between any two: there is one edge.
    Everywhere,
    /// Between those on one connection: an old edge may still be about to follow.
    PerConnection,
}

/// The newest release that was seen somewhere.
#[derive(Debug, Clone, Default)]
pub struct Newest(Arc<AtomicU64>);

impl Newest {
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    fn raise(&self, release: u64) {
        self.0.fetch_max(release, Ordering::SeqCst);
    }
}

/// See the module.
#[derive(Debug)]
pub struct Ledger {
    order: Order,
    everywhere: Newest,
    /// Doomed releases, and since when they must not answer any more.
    doomed: Mutex<HashMap<u64, Option<Instant>>>,
    /// What may not be repeated, and how often a target took it.
    taken: Mutex<HashMap<String, u32>>,
    numbers: AtomicU64,
}

/// A request, as far as the ledger minds.
#[derive(Debug, Clone)]
pub struct Entry {
    pub number: u64,
    pub sent: Instant,
    floor: u64,
    connection: Newest,
}

impl Ledger {
    pub fn new(order: Order) -> Arc<Self> {
        Arc::new(Self {
            order,
            everywhere: Newest::default(),
            doomed: Mutex::default(),
            taken: Mutex::default(),
            numbers: AtomicU64::new(1),
        })
    }

    /// Notes a request that is about to be sent on a connection.
    pub fn enter(&self, connection: &Newest) -> Entry {
        let floor = match self.order {
            Order::Everywhere => self.everywhere.get(),
            Order::PerConnection => connection.get(),
        };
        Entry {
            number: self.numbers.fetch_add(1, Ordering::Relaxed),
            sent: Instant::now(),
            floor,
            connection: connection.clone(),
        }
    }

    /// Holds an answer against what was known when its request was sent.
    pub fn judge(&self, entry: &Entry, release: u64) -> Result<(), String> {
        if let Some(over) = self.doomed.lock().unwrap().get(&release) {
            return match over {
                Some(over) if *over < entry.sent => {
                    Err(format!("release {release} answers after it was taken back"))
                }
                _ => Ok(()),
            };
        }
        if release < entry.floor {
            return Err(format!("release {release} answers after {}", entry.floor));
        }
        self.everywhere.raise(release);
        entry.connection.raise(release);
        Ok(())
    }

    /// From now on this release may answer until it is taken back.
    pub fn doom(&self, release: u64) {
        self.doomed.lock().unwrap().insert(release, None);
    }

    pub fn taken_back(&self, release: u64) {
        self.doomed
            .lock()
            .unwrap()
            .insert(release, Some(Instant::now()));
    }

    /// Takes note of what a target was sent; call it once, when the target is done.
    pub fn close(&self, target: &Target) {
        let mut taken = self.taken.lock().unwrap();
        for seen in target.seen() {
            if let (false, Some(number)) =
                (seen.method.is_idempotent(), seen.headers.get("x-number"))
            {
                *taken
                    .entry(number.to_str().unwrap().to_owned())
                    .or_default() += 1;
            }
        }
    }

    /// Requests that may not be repeated and were: there must be none.
    pub fn repeated(&self) -> Vec<String> {
        let taken = self.taken.lock().unwrap();
        let repeated = taken.iter().filter(|(_, count)| **count > 1);
        repeated
            .map(|(number, count)| format!("request {number} was taken {count} times"))
            .collect()
    }

    /// How many requests that may not be repeated the targets took.
    pub fn taken(&self) -> usize {
        self.taken.lock().unwrap().len()
    }
}
