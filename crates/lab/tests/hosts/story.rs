//! What the stories share: labs with names and folders of their own, and small things done in hosts.

use std::io::Read;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use lab::{Host, Lab, LabName, Progress, Spec, Throwaway};

/// Bash, perl and getent of this machine with what they load: enough to ask and to answer.
const IMAGE: &str = r#"
set -eu
tree=$(mktemp -d)
for program in /bin/bash /usr/bin/perl /usr/bin/getent; do
    for file in "$program" $(ldd "$program" | grep -o '/[^ ]*'); do
        mkdir -p "$tree$(dirname "$file")"
        cp -L "$file" "$tree$file"
    done
done
modules=$(perl -e 'print grep { /perl-base/ } @INC')
mkdir -p "$tree$modules"
cp -r "$modules/." "$tree$modules"
tar -C "$tree" -c . | docker import - image >/dev/null
rm -r "$tree"
"#;

const SERVER: &str = r#"$s = IO::Socket::INET->new(LocalPort => 8000, Listen => 5, ReuseAddr => 1) or die;
while ($c = $s->accept) { print $c "$ARGV[0]\n"; close $c }"#;

/// One test's labs and files.
pub(crate) struct Story {
    folder: tempfile::TempDir,
}

impl Story {
    /// `None`, aloud, where the test cannot run.
    pub(crate) fn begin(test: &str) -> Option<Self> {
        if is_root() {
            return Some(Self {
                folder: tempfile::tempdir().unwrap(),
            });
        }
        assert_ne!(
            std::env::var("CI").as_deref(),
            Ok("true"),
            "{test}: needs root"
        );
        println!("skipped: {test} needs root");
        None
    }

    pub(crate) fn path(&self, part: &str) -> PathBuf {
        self.folder.path().join(part)
    }

    /// A name that no other run uses.
    pub(crate) fn name(&self, part: &str) -> LabName {
        let unique = self
            .folder
            .path()
            .file_name()
            .unwrap()
            .to_string_lossy()
            .to_lowercase();
        let part: String = part
            .chars()
            .filter(|c| c.is_ascii_lowercase())
            .take(8)
            .collect();
        format!("t{}-{part}", unique.trim_start_matches(".tmp"))
            .parse()
            .unwrap()
    }

    pub(crate) fn spec(&self, part: &str, hosts: &[&str], aliases: &[&str]) -> Spec {
        let spec = Spec::new(self.name(part)).folder(self.path(part));
        let spec = hosts
            .iter()
            .fold(spec, |spec, host| spec.host(host.parse().unwrap()));
        aliases
            .iter()
            .fold(spec, |spec, alias| spec.alias(alias.parse().unwrap()))
    }

    pub(crate) fn up(&self, part: &str, hosts: &[&str], aliases: &[&str]) -> Throwaway {
        match Lab::up(&self.spec(part, hosts, aliases)) {
            Ok(lab) => lab.throwaway(),
            Err(error) => {
                let removed = Lab::remove(&self.name(part), &self.path(part));
                panic!("{error} ({error:?}; then removed: {removed:?})");
            }
        }
    }

    /// Lets another process bring the lab up and kills it after a while, wherever it is then.
    pub(crate) fn kill_a_maker(&self, part: &str, after: Duration) {
        let mut maker = Command::new(std::env::current_exe().unwrap());
        maker
            .args(["--exact", "maker", "--ignored"])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        maker
            .env("MAKER_LAB", self.name(part).as_str())
            .env("MAKER_FOLDER", self.path(part));
        let mut maker = maker.spawn().unwrap();
        std::thread::sleep(after);
        maker.kill().unwrap();
        maker.wait().unwrap();
    }
}

pub(crate) fn is_root() -> bool {
    Command::new("id").arg("-u").output().unwrap().stdout == b"0\n"
}

/// Brings a lab up and returns what was started in each host.
pub(crate) fn ups(spec: &Spec) -> Vec<(String, Vec<&'static str>)> {
    let seen = Mutex::new(Vec::new());
    let tell = |progress: Progress<'_>| {
        if let Progress::HostReady { host, started, .. } = progress {
            seen.lock()
                .unwrap()
                .push((host.to_string(), started.to_vec()));
        }
    };
    Lab::up_telling(spec, &tell).unwrap();
    seen.into_inner().unwrap()
}

/// Runs a command that must succeed; returns what it printed.
pub(crate) fn run(host: &Host, words: &[&str]) -> String {
    let output = host.exec(words).unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success(),
        "{words:?} on {}: {}\n{out}\n{err}",
        host.name(),
        output.status
    );
    out.trim().to_owned()
}

pub(crate) fn import_image(host: &Host) {
    run(host, &["bash", "-c", IMAGE]);
}

/// Answers each connection to port 8000 of the host with a line, from a container.
pub(crate) fn serve(host: &Host, line: &str) {
    run(
        host,
        &[
            "docker",
            "run",
            "--detach",
            "--publish=8000:8000",
            "image",
            "perl",
            "-MIO::Socket::INET",
            "-e",
            SERVER,
            line,
        ],
    );
    await_that("the container answers", || {
        !ask(&host.address().to_string()).is_empty()
    });
}

/// What port 8000 of an address says to this machine.
pub(crate) fn ask(address: &str) -> String {
    let mut line = String::new();
    if let Ok(mut stream) = TcpStream::connect((address, 8000)) {
        let _ = stream.read_to_string(&mut line);
    }
    line.trim().to_owned()
}

/// Files of this machine that a lab writes in its hosts, and must never write here.
pub(crate) fn own_files_of_this_machine() -> Vec<(&'static str, Option<Vec<u8>>)> {
    let files = [
        "/etc/hosts",
        "/etc/resolv.conf",
        "/etc/hostname",
        "/etc/docker/daemon.json",
        "/etc/profile.d/zz-lab.sh",
        "/etc/ssh/sshd_config",
        "/etc/ssh/ssh_known_hosts",
        "/etc/ssh/ssh_host_ed25519_key",
        "/root/.ssh/authorized_keys",
        "/root/.ssh/id_ed25519",
    ];
    files.map(|file| (file, fs_err::read(file).ok())).into()
}

pub(crate) fn kill_first_process(lab: &LabName, host: &str) {
    let mark = format!("lotse-lab:{lab}/host/{host}");
    let status = Command::new("pkill")
        .args(["-KILL", "--full", &mark])
        .status()
        .unwrap();
    assert!(status.success());
    let is_gone = || {
        !Command::new("pgrep")
            .args(["--full", &mark])
            .output()
            .unwrap()
            .status
            .success()
    };
    await_that("the host has ended", is_gone);
}

pub(crate) fn await_that(what: &str, happens: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !happens() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
