//! Who holds a lock, in words by which a person finds them.

use deploy::Holder;
use jiff::Timestamp;
use rustix::system::uname;

/// What names of users and machines are cut to, so that the rest finds room.
const LONGEST: usize = 60;

/// Between who it is and why, where a person has locked by hand.
const BY_HAND: &str = " by hand: ";

/// This process, as nobody else is at any time: `operator@desk, pid 4711 since 2026-11-25T10:00:00Z`;
/// in a job of a pipeline also the job's address.
pub(crate) fn of_process() -> Holder {
    let who = who();
    let pid = std::process::id();
    let since = Timestamp::now().round(jiff::Unit::Second);
    let since = since.map_or_else(|_| String::new(), |time| format!(" since {time}"));
    let plain = format!("{who}, pid {pid}{since}");
    let job = std::env::var("CI_JOB_URL").ok();
    let holder = job.and_then(|job| format!("{plain}, job {job}").parse().ok());
    holder.unwrap_or_else(|| fitting(&plain))
}

/// A person who locks until they unlock.
pub(crate) fn by_hand(reason: &str) -> Holder {
    fitting(&format!("{}{BY_HAND}{reason}", who()))
}

/// Whether a person has the lock, and no process that could be disturbed.
pub(crate) fn is_by_hand(holder: &Holder) -> bool {
    holder.as_str().contains(BY_HAND)
}

fn who() -> String {
    let user = ["GITLAB_USER_LOGIN", "USER", "LOGNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok())
        .filter(|user| !user.is_empty())
        .unwrap_or_else(|| format!("user {}", rustix::process::getuid().as_raw()));
    let machine = uname();
    let machine = machine.nodename().to_string_lossy();
    format!("{}@{}", short(&user), short(&machine))
}

fn short(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

/// Cut and cleaned to what a holder may be.
fn fitting(text: &str) -> Holder {
    let mut clean: String = text
        .chars()
        .map(|char| if char.is_control() { ' ' } else { char })
        .collect();
    while clean.len() > 200 {
        clean.pop();
    }
    clean
        .parse()
        .expect("a text without control characters, not empty and not too long, is a holder")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_says_who_and_why() {
        let process = of_process();
        assert!(process.as_str().contains("pid "), "{process}");
        assert!(!is_by_hand(&process));
        let person = by_hand(&format!("moving the\ndatabase {}", "ü".repeat(300)));
        assert!(person.as_str().contains("by hand: moving the database"));
        assert!(is_by_hand(&person));
    }
}
