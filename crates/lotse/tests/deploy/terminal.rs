//! `lotse exec` at a terminal: the program in the container has one as large, each key reaches it, and
//! afterwards the terminal is as it was. `script` lends the terminal.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use crate::site::{self, Site};

const PATIENCE: Duration = Duration::from_secs(90);

/// What runs in the container: it waits for the size of its terminal, for a line, for another size, and
/// for Ctrl-C.
const PROGRAM: &str = r#"
is() { until [ "$(busybox stty size)" = "$1" ]; do sleep 0.1; done; echo "the size is $1"; }
is "40 100"
read line; echo "the line is <$line>"
is "50 120"
trap "echo interrupted; exit 5" INT
echo ready
while :; do sleep 0.1; done
"#;

/// What the user types.
const SCRIPT: &str = r#"
tty >tty; stty rows 40 cols 100; stty -g >before
"$LOTSE" exec prod web -- sh -c "$PROGRAM"
code=$?
stty -g >after
exit $code
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_has_the_user_s_terminal() {
    let Some(site) = Site::start(1).await else {
        return;
    };
    site.image("v1", site::SERVES).await;
    site.lotse("v1", &["deploy", "prod"]).succeeds();

    let mut terminal = Terminal::open(&site);
    terminal.shows("the size is 40 100");
    terminal.types("some words\r");
    terminal.shows("the line is <some words>");
    let changed = ["-F", &terminal.device(), "rows", "50", "cols", "120"];
    let status = Command::new("stty").args(changed).status().unwrap();
    assert!(status.success(), "stty {changed:?}");
    terminal.shows("the size is 50 120");
    terminal.shows("ready");
    // Ctrl-C is a key like others: it is for the program.
    terminal.types("\x03");
    terminal.shows("interrupted");
    assert_eq!(terminal.end(), Some(5));
    let said = |file: &str| fs_err::read_to_string(site.project.path().join(file)).unwrap();
    assert_eq!(said("before"), said("after"), "the terminal is as before");
}

/// A terminal in which a shell runs [`SCRIPT`]. Dropping it ends what runs there.
struct Terminal {
    process: Child,
    keys: ChildStdin,
    screen: Receiver<Vec<u8>>,
    shown: String,
    folder: PathBuf,
}

impl Terminal {
    fn open(site: &Site) -> Self {
        let lotse = site.command("v1", &[]);
        let variables = lotse.get_envs();
        let mut process = Command::new("script")
            .args(["--quiet", "--flush", "--return", "--command", SCRIPT])
            .arg("/dev/null")
            .current_dir(site.project.path())
            .env_clear()
            .envs(variables.filter_map(|(name, value)| Some((name, value?))))
            .env("LOTSE", lotse.get_program())
            .env("PROGRAM", PROGRAM)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (keys, mut output) = (process.stdin.take(), process.stdout.take().unwrap());
        let (send, screen) = mpsc::channel();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                let _nobody_looks = send.send(bytes[..count].to_vec());
            }
        });
        Self {
            process,
            keys: keys.unwrap(),
            screen,
            shown: String::new(),
            folder: site.project.path().to_owned(),
        }
    }

    fn device(&self) -> String {
        let name = fs_err::read_to_string(self.folder.join("tty")).unwrap();
        name.trim().to_owned()
    }

    fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// Waits until these words are on the screen.
    fn shows(&mut self, words: &str) {
        while !self.shown.contains(words) {
            let Ok(bytes) = self.screen.recv_timeout(PATIENCE) else {
                panic!("{words:?} is not shown: {:?}", self.shown);
            };
            self.shown += &String::from_utf8_lossy(&bytes);
        }
    }

    /// The exit code of what has run there.
    fn end(&mut self) -> Option<i32> {
        self.process.wait().unwrap().code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ended_before = self.process.kill();
        let _status = self.process.wait();
    }
}
