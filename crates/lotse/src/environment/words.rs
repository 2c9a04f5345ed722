//! Containers and numbers in words.

use apply::drive::ContainerLook;
use deploy::host::{Health, State};

use crate::output::Tone;

/// `2 healthy`, `1 healthy, 1 starting`, `none of 2`; and what that means.
pub(crate) fn containers(wanted: u32, found: &[ContainerLook]) -> (Tone, String) {
    let mut kinds: Vec<(Tone, String, usize)> = Vec::new();
    for container in found {
        let (tone, word) = word(container);
        match kinds.iter_mut().find(|(_, known, _)| *known == word) {
            Some((.., count)) => *count += 1,
            None => kinds.push((tone, word, 1)),
        }
    }
    let tone = [Tone::Bad, Tone::Busy]
        .into_iter()
        .find(|tone| kinds.iter().any(|(kind, ..)| kind == tone));
    let missing = (wanted as usize).saturating_sub(found.len());
    let mut parts: Vec<String> = kinds
        .into_iter()
        .map(|(_, word, count)| format!("{count} {word}"))
        .collect();
    if missing > 0 {
        parts.push(format!("{missing} of {wanted} not there"));
    }
    let tone = tone.unwrap_or(if missing > 0 { Tone::Busy } else { Tone::Good });
    (tone, parts.join(", "))
}

/// Whether all are there and none is ill. One that the engine has not tested yet is not.
pub(crate) fn serve(wanted: u32, found: &[ContainerLook]) -> bool {
    let serves = |found: &ContainerLook| {
        found.state == State::Running && found.health == Some(Health::Starting)
            || word(found).0 == Tone::Good
    };
    found.len() >= wanted as usize && found.iter().all(serves)
}

fn word(container: &ContainerLook) -> (Tone, String) {
    let (tone, word) = match (container.state, container.health) {
        (State::Running, Some(Health::Healthy)) => (Tone::Good, "healthy"),
        (State::Running, Some(Health::Starting)) => (Tone::Busy, "starting"),
        (State::Running, Some(Health::Unhealthy)) => (Tone::Bad, "unhealthy"),
        (State::Running, None) => (Tone::Good, "running"),
        (State::Created, _) => (Tone::Busy, "not started"),
        (State::Paused, _) => (Tone::Bad, "paused"),
        (State::Restarting, _) => (Tone::Bad, "restarting"),
        (State::Exited(0), _) => (Tone::Good, "ended with status 0"),
        (State::Exited(status), _) => return (Tone::Bad, format!("ended with status {status}")),
    };
    (tone, word.to_owned())
}

/// `1 host`, `3 hosts`.
pub(crate) fn count(number: usize, one: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        _ => format!("{number} {one}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_in_words() {
        let look = |state, health| ContainerLook {
            state,
            health,
            restarts: 0,
        };
        let healthy = look(State::Running, Some(Health::Healthy));
        let starting = look(State::Running, Some(Health::Starting));
        let ended = look(State::Exited(3), None);
        let check = |wanted, found: &[ContainerLook], tone, text: &str| {
            assert_eq!(containers(wanted, found), (tone, text.to_owned()));
        };
        check(
            2,
            &[healthy.clone(), healthy.clone()],
            Tone::Good,
            "2 healthy",
        );
        check(2, &[healthy, starting], Tone::Busy, "1 healthy, 1 starting");
        check(
            2,
            &[ended],
            Tone::Bad,
            "1 ended with status 3, 1 of 2 not there",
        );
        check(1, &[], Tone::Busy, "1 of 1 not there");
    }

    #[test]
    fn who_is_not_tested_yet_serves() {
        let look = |state, health| ContainerLook {
            state,
            health,
            restarts: 0,
        };
        let cases = [
            (State::Running, Some(Health::Healthy), true),
            (State::Running, Some(Health::Starting), true),
            (State::Running, Some(Health::Unhealthy), false),
            (State::Restarting, Some(Health::Starting), false),
            (State::Created, None, false),
            (State::Exited(3), None, false),
        ];
        for (state, health, serves) in cases {
            assert_eq!(
                serve(1, &[look(state, health)]),
                serves,
                "{state:?} {health:?}"
            );
        }
        assert!(!serve(1, &[]));
    }
}
