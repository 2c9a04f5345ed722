//! The ten deploy scripts of the services have one form, and each is run on a real engine as the jobs'
//! `ssh` does it. What runs is a stand-in that gets well late, ends at once or stays ill: what a script
//! says of it must be so.

use std::path::PathBuf;
use std::process::Command;

use testkit::busybox;
use testkit::dockerd::{Dockerd, text_of};

use crate::data::{changed, pasted};
use crate::laptop::example;
use crate::private_registry::{self, PASSWORD, USER};

const SERVICES: [&str; 5] = ["cache", "elasticsearch", "exim4", "postgresql", "rabbitmq"];
const HOSTS: [&str; 2] = ["test", "prod"];
const SAME: &str = "# From here on it is the same for all services.\n";

/// Well after two seconds, unless somebody has made it ill.
const SERVE: &str = r#"#!/bin/sh
trap "exit 0" TERM INT
rm -f /tmp/well
echo "$VERSION begins"
sleep 2
if [ -e /tmp/ill ]; then exit 4; fi
touch /tmp/well
while :; do sleep 1; done
"#;
const DUMP: &str = "#!/bin/sh\necho a dump\n";
const READ_DUMP: &str = "#!/bin/sh\ngrep -q dump\n";

#[test]
fn the_scripts_of_all_services_have_one_form() {
    let same = |service, host| {
        let script = script(service, host);
        pasted(&script);
        let (own, same) = script.split_once(SAME).unwrap();
        assert!(own.lines().count() < 40, "{service} {host}:\n{own}");
        same.to_owned()
    };
    let first = same(SERVICES[0], HOSTS[0]);
    for service in SERVICES {
        for host in HOSTS {
            assert_eq!(same(service, host), first, "{service} {host}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_deploy_says_whether_what_ran_before_answers_again() {
    if !busybox::is_installed() {
        testkit::skip("busybox-static is not installed");
        return;
    }
    let Some(daemon) = Dockerd::start() else {
        return;
    };
    let images = tempfile::tempdir().unwrap();
    let registry = private_registry::serve(daemon.listen(), images.path());
    let host = Host {
        daemon,
        registry,
        folder: tempfile::tempdir().unwrap(),
    };
    host.prepare();
    std::thread::scope(|scope| {
        for service in SERVICES {
            let host = &host;
            scope.spawn(move || host.tell(service));
        }
    });
}

/// A services host.
struct Host {
    daemon: Dockerd,
    registry: String,
    /// Stands for `/`.
    folder: tempfile::TempDir,
}

impl Host {
    fn prepare(&self) {
        for folder in ["run/lock", "etc/invenio", "var/backups"] {
            fs_err::create_dir_all(self.folder.path().join(folder)).unwrap();
        }
        for service in ["cache", "postgresql", "rabbitmq"] {
            let file = format!("etc/invenio/{service}.env");
            fs_err::write(self.folder.path().join(file), "SETTING=given\n").unwrap();
        }
        let files = [
            ("bin/serve", SERVE),
            ("bin/pg_dump", DUMP),
            ("bin/pg_restore", READ_DUMP),
        ];
        let archive = self.folder.path().join("archive");
        fs_err::write(&archive, busybox::archive(&files)).unwrap();
        let import = format!("docker import {} tools:1", archive.display());
        self.must_do(&import);
        self.must_do(&format!(
            "docker login --username {USER} --password {PASSWORD} {}",
            self.registry
        ));
    }

    fn tell(&self, service: &'static str) {
        let script = self.script(service);
        self.publish(service, "one", "serve");
        let said = self.must_do(&pasted(&script));
        assert!(said.contains("the new image answers"), "{said}");
        assert_eq!(self.running(service), "one healthy");

        self.publish(service, "two", "false");
        let said = self.must_fail(&pasted(&script));
        assert!(said.contains("the new image does not answer"), "{said}");
        let again = format!("{service}: what ran before answers again");
        assert!(said.contains(&again), "{said}");
        assert_eq!(self.running(service), "one healthy", "{said}");

        self.publish(service, "three", "serve");
        let hung_up = changed(&script, "if ! run ||", "kill -HUP $$; if ! run ||");
        let said = self.must_fail(&pasted(&hung_up));
        assert!(said.contains(&again), "{said}");
        assert_eq!(self.running(service), "one healthy", "{said}");

        let cut_off = changed(&script, "if ! run ||", "kill -KILL $$; if ! run ||");
        self.must_fail(&pasted(&cut_off));
        let said = self.must_do(&pasted(&script));
        assert!(said.contains("was cut off"), "{said}");
        assert!(said.contains(&again), "{said}");
        assert_eq!(self.running(service), "three healthy");

        self.publish(service, "four", "false");
        self.must_do(&format!("docker exec {service} touch /tmp/ill"));
        let said = self.must_fail(&pasted(&script));
        let neither = format!("error: {service}: what ran before does not answer either");
        assert!(said.contains(&neither), "{said}");
        assert!(!said.contains(&again), "{said}");
        let names = format!("docker ps --all --format '{{{{.Names}}}}' --filter name={service}");
        assert_eq!(self.must_do(&names).trim(), service);
    }

    /// The script for the test host, with this host's folders and registry.
    fn script(&self, service: &str) -> String {
        let mut script = script(service, HOSTS[0]);
        script = changed(&script, "registry.lotse.lab", &self.registry);
        for folder in ["/run/lock", "/etc/invenio", "/var/backups"] {
            let here = format!("{}{folder}", self.folder.path().display());
            script = script.replace(&format!("={folder}"), &format!("={here}"));
            script = script.replace(&format!(" {folder}"), &format!(" {here}"));
        }
        script
    }

    /// What the service's name means in the registry from now on.
    fn publish(&self, service: &str, version: &str, command: &str) {
        let image = format!("{}/invenio/{service}", self.registry);
        let dockerfile = format!(
            "FROM tools:1\\nENV VERSION={version}\\nHEALTHCHECK --interval=1s CMD test -e /tmp/well\\nCMD [\"{command}\"]"
        );
        self.must_do(&format!(
            "printf '{dockerfile}' | docker build --tag {image} - && docker push {image}"
        ));
    }

    /// The version of the service's container, and its health.
    fn running(&self, service: &str) -> String {
        let version = self.must_do(&format!("docker exec {service} sh -c 'echo $VERSION'"));
        let health = "docker inspect --format '{{.State.Health.Status}}'";
        let health = self.must_do(&format!("{health} {service}"));
        format!("{} {}", version.trim(), health.trim())
    }

    fn must_do(&self, script: &str) -> String {
        self.run(script, true)
    }

    fn must_fail(&self, script: &str) -> String {
        self.run(script, false)
    }

    /// By the shell that a user has on a Debian host.
    fn run(&self, script: &str, success: bool) -> String {
        let mut shell: Command = self.daemon.client("bash");
        let output = shell.args(["-c", script]).output().unwrap();
        let text = text_of(&output);
        assert_eq!(output.status.success(), success, "{script}\n{text}");
        text
    }
}

fn script(service: &str, host: &str) -> String {
    let path: PathBuf = example().join(service).join(format!("deploy-{host}.sh"));
    fs_err::read_to_string(path).unwrap()
}
