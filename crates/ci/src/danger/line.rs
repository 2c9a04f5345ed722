//! One line of a script, as words.

/// The words of a line, quotes and all; separators of commands are words of their own.
pub(crate) fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// Whether these words stand one behind the other.
pub(crate) fn has_words(line: &str, wanted: &[&str]) -> bool {
    words(line).windows(wanted.len()).any(|found| {
        found
            .iter()
            .zip(wanted)
            .all(|(one, other)| clean(one) == *other)
    })
}

/// Whether an option is given.
pub(crate) fn has_flag(line: &str, flag: &str) -> bool {
    words(line).iter().any(|word| clean(word) == flag)
}

fn clean(word: &str) -> &str {
    word.trim_matches(['"', '\'', ';', '(', ')'])
}

/// Whether the line runs this command of `docker-compose` or `docker compose`.
pub(crate) fn is_compose(line: &str, command: &str) -> bool {
    if !line.contains("compose") {
        return false;
    }
    let words = words(line);
    let compose = words.iter().enumerate().position(|(at, word)| {
        clean(word) == "docker-compose"
            || clean(word) == "compose" && at > 0 && clean(words[at - 1]) == "docker"
    });
    compose.is_some_and(|at| {
        let rest = words[at + 1..].iter();
        rest.take_while(|word| !matches!(**word, "&&" | "||" | ";" | "|"))
            .any(|word| clean(word) == command)
    })
}

/// `ssh HOST "eval '$(cat FILE)'"`.
pub(crate) fn evals_a_file_over_ssh(line: &str) -> bool {
    if !line.contains("eval") {
        return false;
    }
    let words = words(line);
    let evals = |word: &&str| word.trim_start_matches(['"', '\'']) == "eval";
    words.contains(&"ssh")
        && words.iter().any(evals)
        && (line.contains("$(cat") || line.contains("$(<"))
}

/// The image that the line pushes, without quotes.
pub(crate) fn pushed_image(line: &str) -> Option<String> {
    let words = words(line);
    let at = words.windows(2).position(|pair| {
        matches!(clean(pair[0]), "docker" | "podman" | "buildah") && clean(pair[1]) == "push"
    })?;
    let rest = words[at + 2..].iter();
    let mut rest = rest.take_while(|word| !matches!(**word, "&&" | "||" | ";" | "|"));
    let image = rest.find(|word| !word.starts_with('-'))?;
    let all = words
        .iter()
        .any(|word| matches!(*word, "-a" | "--all-tags"));
    (!all).then(|| clean(image).replace(['"', '\''], ""))
}

/// How to mend a line that has a password among its arguments.
pub(crate) fn password_argument(line: &str) -> Option<String> {
    if !["login", "ssh", "curl"]
        .iter()
        .any(|word| line.contains(word))
    {
        return None;
    }
    let words = words(line);
    let value = |at: usize| words.get(at + 1).is_some_and(|next| !next.starts_with('-'));
    let after = |program: &str, verb: &str| {
        let start = words.iter().position(|word| clean(word) == program)?;
        let rest = &words[start..];
        rest.iter().any(|word| clean(word) == verb).then_some(start)
    };
    for program in ["docker", "podman", "buildah", "helm", "crane", "skopeo"] {
        let Some(start) = after(program, "login") else {
            continue;
        };
        let given = (start..words.len()).any(|at| {
            let word = clean(words[at]);
            matches!(word, "-p" | "--password") && value(at) || word.starts_with("--password=")
        });
        if given {
            return Some(format!(
                "hand it over on standard input: `echo \"$PASSWORD\" | {program} login -u USER --password-stdin REGISTRY`"
            ));
        }
    }
    if let Some(at) = words.iter().position(|word| clean(word) == "sshpass")
        && words[at + 1..].iter().any(|word| word.starts_with("-p"))
    {
        return Some("use a key in an ssh agent, or `sshpass -e`".to_owned());
    }
    if let Some(at) = words.iter().position(|word| clean(word) == "curl")
        && let Some(user) = words[at..]
            .iter()
            .position(|word| matches!(*word, "-u" | "--user"))
        && words
            .get(at + user + 1)
            .is_some_and(|word| word.contains(':'))
    {
        return Some(
            "put it into a file: `curl --netrc-file FILE` or `curl --config FILE`".to_owned(),
        );
    }
    echoed_over_ssh(&words).then(|| {
        "pipe it through ssh: `echo \"$PASSWORD\" | ssh HOST 'docker login -u USER --password-stdin REGISTRY'`"
            .to_owned()
    })
}

/// `ssh HOST "echo $PASSWORD | …"`: the text is an argument of ssh and of the remote shell.
fn echoed_over_ssh(words: &[&str]) -> bool {
    let Some(ssh) = words.iter().position(|word| clean(word) == "ssh") else {
        return false;
    };
    let echo = words[ssh..]
        .iter()
        .position(|word| matches!(clean(word), "echo" | "printf"));
    let secret = |word: &&str| {
        let word = word.to_ascii_uppercase();
        word.contains('$')
            && ["PASSWORD", "PASSWD", "TOKEN", "SECRET"]
                .iter()
                .any(|part| word.contains(part))
    };
    echo.is_some_and(|echo| {
        let rest = words[ssh + echo..].iter();
        rest.take_while(|word| **word != "|").any(secret)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords() {
        for (line, expected) in [
            ("docker login -u x -p \"$P\" $R", true),
            ("docker login --password=$P", true),
            ("echo \"$P\" | docker login -u x --password-stdin $R", false),
            ("docker run -p 80:80 x", false),
            ("sshpass -p$P ssh x", true),
            ("curl -u me:$P https://x", true),
            ("curl -u me https://x", false),
            (
                "ssh $H \"echo $CI_REGISTRY_PASSWORD | docker login --password-stdin\"",
                true,
            ),
            ("ssh $H \"echo hello\"", false),
            ("mkdir -p login", false),
        ] {
            assert_eq!(password_argument(line).is_some(), expected, "{line}");
        }
    }

    #[test]
    fn pushes() {
        for (line, expected) in [
            (
                "docker push \"$CI_REGISTRY_IMAGE\"",
                Some("$CI_REGISTRY_IMAGE"),
            ),
            ("docker push --quiet \"$I\":$T && echo done", Some("$I:$T")),
            ("cd x; podman push a/b:1;", Some("a/b:1")),
            ("docker push --all-tags a/b", None),
            ("docker push", None),
            ("git push docker", None),
        ] {
            assert_eq!(pushed_image(line).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn compose() {
        assert!(is_compose("docker-compose -f x.yml down", "down"));
        assert!(is_compose("cd x && docker compose down -v", "down"));
        assert!(!is_compose("docker-compose pull && echo down", "down"));
    }
}
