//! What a load's answers are held against: which release may answer which request.
//!
//! A request that is sent after an answer of release N was received must not be answered by an
//! older one. Releases are older by their number; where some come twice, as in a rollback, by their
//! place in the course that the test lays down. A doomed release (one whose set is taken back) may
//! answer while it is on trial only.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Between which answers the order of releases is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Between any two: there is one edge.
    Everywhere,
    /// Between those on one connection: an old edge may still be about to follow.
    PerConnection,
}

/// The place of the newest release that was seen somewhere.
#[derive(Debug, Clone, Default)]
pub struct Newest(Arc<AtomicU64>);

impl Newest {
    fn get(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    fn raise(&self, place: u64) {
        self.0.fetch_max(place, Ordering::SeqCst);
    }
}

/// See the module.
#[derive(Debug)]
pub struct Ledger {
    order: Order,
    everywhere: Newest,
    /// The releases that may answer, in their order; where there are none, all may, by number.
    course: Mutex<Vec<u64>>,
    /// Doomed releases, and since when they must not answer any more.
    doomed: Mutex<HashMap<u64, Option<Instant>>>,
    /// What may not be repeated, and how often a target took it.
    taken: Mutex<HashMap<String, u32>>,
    numbers: AtomicU64,
}

/// A request, as far as the ledger minds.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its number, which no other has.
    pub number: u64,
    sent: Instant,
    floor: u64,
    connection: Newest,
}

impl Ledger {
    /// An empty one.
    pub fn new(order: Order) -> Arc<Self> {
        Arc::new(Self {
            order,
            everywhere: Newest::default(),
            course: Mutex::default(),
            doomed: Mutex::default(),
            taken: Mutex::default(),
            numbers: AtomicU64::new(1),
        })
    }

    /// From now on this release may answer, after those that might before.
    pub fn expect(&self, release: u64) {
        self.course.lock().unwrap().push(release);
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
        let place = self.place(release, entry.floor)?;
        self.everywhere.raise(place);
        entry.connection.raise(place);
        Ok(())
    }

    /// The first place of a release at which it is not older than the floor.
    fn place(&self, release: u64, floor: u64) -> Result<u64, String> {
        let course = self.course.lock().unwrap();
        if course.is_empty() {
            return match release < floor {
                true => Err(format!("release {release} answers after {floor}")),
                false => Ok(release),
            };
        }
        let later = (0..).zip(course.iter()).skip(floor as usize);
        let mut places = later.filter(|(_, other)| **other == release);
        places.next().map(|(place, _)| place).ok_or_else(|| {
            format!("release {release} answers, at place {floor} of the course {course:?}")
        })
    }

    /// From now on this release may answer until it is taken back.
    pub fn doom(&self, release: u64) {
        self.doomed.lock().unwrap().insert(release, None);
    }

    /// From now on this release may not answer any more.
    pub fn taken_back(&self, release: u64) {
        self.doomed
            .lock()
            .unwrap()
            .insert(release, Some(Instant::now()));
    }

    /// Takes note of a request that may not be repeated, each time that a target was sent it.
    pub fn took(&self, number: &str) {
        *self
            .taken
            .lock()
            .unwrap()
            .entry(number.to_owned())
            .or_default() += 1;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers by these releases, one after the other on one connection: the first that is wrong.
    fn check(course: &[u64], releases: &[u64], wrong: Option<usize>) {
        let ledger = Ledger::new(Order::PerConnection);
        course.iter().for_each(|release| ledger.expect(*release));
        let connection = Newest::default();
        let judged = |release: &u64| ledger.judge(&ledger.enter(&connection), *release);
        let found = releases.iter().position(|release| judged(release).is_err());
        assert_eq!(found, wrong, "{releases:?} in the course {course:?}");
    }

    #[test]
    fn releases_follow_their_course() {
        check(&[], &[1, 1, 2, 5], None);
        check(&[], &[1, 2, 1], Some(2));
        check(&[1, 2, 1], &[1, 2, 2, 1], None);
        check(&[1, 2, 1], &[1, 2, 1, 2], Some(3));
        check(&[1, 2], &[1, 3], Some(1));
        check(&[1, 2], &[2, 1], Some(1));
    }

    #[test]
    fn a_release_that_was_taken_back_is_heard_no_more() {
        let ledger = Ledger::new(Order::Everywhere);
        ledger.doom(2);
        let early = ledger.enter(&Newest::default());
        assert_eq!(ledger.judge(&early, 2), Ok(()));
        ledger.taken_back(2);
        let late = ledger.enter(&Newest::default());
        assert_eq!(ledger.judge(&early, 2), Ok(()));
        assert!(ledger.judge(&late, 2).is_err());
    }
}
