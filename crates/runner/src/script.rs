//! A job's commands as one script for bash, or for any sh.
//!
//! Each command is shown before it runs, as GitLab does; the first that fails ends the script with
//! its exit code. Only what POSIX sh has is used, except `pipefail`, which is set where the shell
//! knows it.

use std::fmt::Write as _;

const GREEN: &str = "\u{1b}[32;1m";
const RESET: &str = "\u{1b}[0;m";

/// Asking a shell whether it knows `pipefail` costs a process, so bash is not asked. It
/// ends on SIGTERM without a word: the shell's own word for it is the line of the script that was
/// at work.
const HEAD: &str = "\
trap 'exit 143' TERM
if [ -n \"${BASH_VERSION:-}\" ] || (set -o pipefail) 2>/dev/null; then set -o pipefail; fi
set -o errexit
set +o noclobber
";

/// The script that runs these commands one after the other.
pub(crate) fn script(commands: &[String]) -> String {
    let mut script = String::from(HEAD);
    for command in commands.iter().map(|command| command.trim()) {
        writeln!(script, "printf '%s\\n' {}", quote(&echo(command)))
            .expect("writing to a string cannot fail");
        script.push_str(command);
        script.push('\n');
    }
    script
}

/// What the log shows of a command: its first line, in green.
fn echo(command: &str) -> String {
    match command.split_once('\n') {
        None if command.is_empty() => String::new(),
        None => format!("{GREEN}$ {command}{RESET}"),
        Some((first, _)) => {
            let first = first.trim_end_matches('\r');
            format!("{GREEN}$ {first} # collapsed multi-line command{RESET}")
        }
    }
}

/// One word of the shell, whatever is in the text.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn run(shell: &str, commands: &[&str]) -> (String, Option<i32>) {
        let commands: Vec<String> = commands.iter().map(|&c| c.to_owned()).collect();
        let output = Command::new(shell)
            .args(["-c", &script(&commands)])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (
            text.replace(GREEN, "").replace(RESET, ""),
            output.status.code(),
        )
    }

    #[test]
    fn commands_are_shown_run_and_stop_at_the_first_failure() {
        for shell in ["bash", "sh"] {
            for (commands, output, code) in [
                (&["echo 'a b'"][..], "$ echo 'a b'\na b\n", 0),
                (&["A=1", "echo $A"], "$ A=1\n$ echo $A\n1\n", 0),
                (&["false", "echo no"], "$ false\n", 1),
                (&["(exit 3)", "echo no"], "$ (exit 3)\n", 3),
                (&["exit 0", "false"], "$ exit 0\n", 0),
                (
                    &["if true; then\n  echo yes\nfi"],
                    "$ if true; then # collapsed multi-line command\nyes\n",
                    0,
                ),
                (
                    &["false || true", "echo on"],
                    "$ false || true\n$ echo on\non\n",
                    0,
                ),
                (&[""], "\n", 0),
                (
                    &["echo \"it's $((1+1))\""],
                    "$ echo \"it's $((1+1))\"\nit's 2\n",
                    0,
                ),
            ] {
                assert_eq!(
                    run(shell, commands),
                    (output.to_owned(), Some(code)),
                    "{shell}"
                );
            }
        }
    }

    #[test]
    fn a_failure_within_a_pipe_counts_where_the_shell_can() {
        let (_, code) = run("bash", &["false | cat"]);
        assert_eq!(code, Some(1));
    }
}
