//! The data of PostgreSQL and Elasticsearch, on a host where the example's pipelines have brought them:
//! what becomes of it when the deploy scripts get a bad image or are cut off, and how a dump is brought
//! back. The scripts are run as the jobs' `ssh` does it; each service is asked by its own client.

use std::process::Output;

use lab::{Host, Invocation};
use testkit::dockerd::text_of;

use crate::laptop::example;

const POSTGRESQL: Service = Service {
    name: "postgresql",
    put: r#"docker exec postgresql sh -c 'psql --quiet --set ON_ERROR_STOP=1 \
        --dbname "postgresql://$POSTGRES_USER:$POSTGRES_PASSWORD@127.0.0.1/$POSTGRES_DB" \
        --command "CREATE TABLE IF NOT EXISTS kept (word TEXT)" --command "INSERT INTO kept VALUES ('\''pilot'\'')"'"#,
    get: r#"docker exec postgresql sh -c 'psql --no-align --tuples-only \
        --dbname "postgresql://$POSTGRES_USER:$POSTGRES_PASSWORD@127.0.0.1/$POSTGRES_DB" \
        --command "SELECT word FROM kept"'"#,
    remove: r#"docker exec postgresql sh -c 'psql --quiet --username "$POSTGRES_USER" \
        --dbname "$POSTGRES_DB" --command "DROP TABLE kept"'"#,
};

const ELASTICSEARCH: Service = Service {
    name: "elasticsearch",
    put: r#"curl --silent --fail --request PUT --header "content-type: application/json" \
        --data '{"word": "The pilot comes aboard."}' "http://127.0.0.1:9200/kept/_doc/1?refresh=true""#,
    get: r#"curl --silent --fail "http://127.0.0.1:9200/kept/_search?q=word:PILOT" | grep --only-matching pilot"#,
    remove: "curl --silent --fail --request DELETE http://127.0.0.1:9200/kept",
};

/// A service of the example, and shell commands of its host that use it.
struct Service {
    name: &'static str,
    put: &'static str,
    /// Prints `pilot`, once for each time that it was put there.
    get: &'static str,
    remove: &'static str,
}

/// The host's own administrator, with this token for the registry.
pub(crate) fn tell(host: &Host, token: &str) {
    let admin = Admin { host };
    admin.log_in(token);
    for service in [&POSTGRESQL, &ELASTICSEARCH] {
        admin.must_do(service.put);
        admin.gets_an_image_that_never_answers(service);
    }
    // the scripts have the same form, and Elasticsearch takes its time
    admin.gets_an_image_that_ends_at_once(&POSTGRESQL);
    admin.is_cut_off(&POSTGRESQL);
    admin.replaces_no_database_that_is_down();
    admin.brings_a_dump_back();
    for service in [&POSTGRESQL, &ELASTICSEARCH] {
        admin.must_do(service.remove);
    }
}

struct Admin<'h> {
    host: &'h Host,
}

impl Admin<'_> {
    /// Apart from the jobs, who log in with a password of their own.
    fn log_in(&self, token: &str) {
        let login = "docker login --username root --password-stdin registry.lotse.lab";
        self.must_do(&format!("echo {token} | {login}"));
    }

    fn gets_an_image_that_never_answers(&self, service: &Service) {
        let entry = r#"["sleep", "infinity"]"#;
        self.gets_a_bad_image(service, entry, &service.impatient_script());
    }

    fn gets_an_image_that_ends_at_once(&self, service: &Service) {
        self.gets_a_bad_image(service, r#"["false"]"#, &service.script());
    }

    fn gets_a_bad_image(&self, service: &Service, entry: &str, script: &str) {
        let name = service.name;
        let good = self.must_do(&format!("docker inspect --format '{{{{.Image}}}}' {name}"));
        let before = self.container(service);
        self.publish(
            &format!("FROM {}\nENTRYPOINT {entry}", good.trim()),
            service,
        );
        let text = self.must_fail(&pasted(script));
        let error = format!("error: {name}: the new image does not answer");
        assert!(text.contains(&error), "{text}");
        self.is_put_back(service, &text, &before);
        self.publish(&format!("FROM {}", good.trim()), service);
    }

    /// By a hang-up of the connection; then by a loss of power, after which the next deploy begins
    /// with what it finds.
    fn is_cut_off(&self, service: &Service) {
        let before = self.container(service);
        let text = self.must_fail(&pasted(&service.script_cut_off_by("HUP")));
        self.is_put_back(service, &text, &before);

        self.must_fail(&pasted(&service.script_cut_off_by("KILL")));
        assert_eq!(
            self.containers(service),
            [format!("{}-before", service.name)]
        );
        let text = self.must_do(&pasted(&service.script()));
        assert!(
            text.contains("the deploy before this one was cut off"),
            "{text}"
        );
        assert!(text.contains("dump the database"), "{text}");
        assert_eq!(self.containers(service), [service.name]);
        self.keeps(service);
    }

    /// It cannot be dumped.
    fn replaces_no_database_that_is_down(&self) {
        let before = self.container(&POSTGRESQL);
        self.must_do("docker stop postgresql");
        let text = self.must_fail(&pasted(&POSTGRESQL.script()));
        assert!(text.contains("so it cannot be dumped"), "{text}");
        self.must_do("docker start postgresql");
        self.waits_for(&POSTGRESQL);
        self.must_be_as(&POSTGRESQL, &before);
    }

    /// Somebody drops a table. A dump that is cut off changes nothing, a whole one brings it back.
    fn brings_a_dump_back(&self) {
        let list = self.must_do("ls /var/backups/postgresql");
        let dumps: Vec<_> = list.lines().collect();
        assert!(
            dumps.iter().all(|name| name.ends_with(".dump")),
            "{dumps:?}"
        );
        assert_eq!(dumps.len(), 3, "as many as the script keeps: {dumps:?}");
        let dump = format!("/var/backups/postgresql/{}", dumps[2]);
        self.must_do(POSTGRESQL.remove);

        self.must_do(&format!("head --bytes 500 {dump} >/tmp/cut"));
        let text = self.text_of(self.restore("/tmp/cut"), false);
        assert!(text.contains("is as it was"), "{text}");
        self.must_fail(POSTGRESQL.get);

        let text = self.text_of(self.restore(&dump), true);
        self.keeps(&POSTGRESQL);
        let drop = text.lines().last().unwrap();
        assert!(drop.contains("dropdb"), "{text}");
        self.must_do(drop);
    }

    fn restore(&self, dump: &str) -> Output {
        let script = fs_err::read_to_string(example().join("postgresql/restore.sh")).unwrap();
        self.run(&["sh", "-c", &script, "restore.sh", dump])
    }

    /// The deploy has waited for it, and says so: it answers from then on.
    fn is_put_back(&self, service: &Service, text: &str, before: &str) {
        let said = format!("{}: what ran before answers again", service.name);
        assert!(text.contains(&said), "{text}");
        self.keeps(service);
        self.must_be_as(service, before);
    }

    /// The same container runs, and has its data.
    fn must_be_as(&self, service: &Service, container: &str) {
        assert_eq!(self.containers(service), [service.name]);
        self.waits_for(service);
        assert_eq!(self.container(service), container);
        self.keeps(service);
    }

    fn keeps(&self, service: &Service) {
        let text = self.must_do(service.get);
        assert_eq!(text.trim(), "pilot", "{}", service.name);
    }

    fn waits_for(&self, service: &Service) {
        let get = service.get;
        let wait = format!(
            "i=0; until ({get}) >/dev/null 2>&1; do i=$((i + 1)); [ $i -lt 120 ]; sleep 0.5; done"
        );
        self.must_do(&format!("set -e; {wait}"));
    }

    /// Which container has the service's name, and whether and how it runs.
    fn container(&self, service: &Service) -> String {
        let format = "{{.Id}} {{.State.Running}} {{.HostConfig.RestartPolicy.Name}}";
        self.must_do(&format!(
            "docker inspect --format '{format}' {}",
            service.name
        ))
    }

    /// The names of the service's containers.
    fn containers(&self, service: &Service) -> Vec<String> {
        let filter = format!("name=^/{}(-before)?$", service.name);
        let names = self.must_do(&format!(
            "docker ps --all --format '{{{{.Names}}}}' --filter '{filter}'"
        ));
        names.lines().map(str::to_owned).collect()
    }

    /// What the service's name means in the registry from now on.
    fn publish(&self, dockerfile: &str, service: &Service) {
        let image = format!("registry.lotse.lab/invenio/{}", service.name);
        self.must_do(&format!(
            "export DOCKER_BUILDKIT=0; printf '%s' '{dockerfile}' | docker build --tag {image} - && docker push {image}"
        ));
    }

    fn must_do(&self, script: &str) -> String {
        self.text_of(self.run(&["sh", "-c", script]), true)
    }

    fn must_fail(&self, script: &str) -> String {
        self.text_of(self.run(&["sh", "-c", script]), false)
    }

    fn text_of(&self, output: Output, success: bool) -> String {
        let text = text_of(&output);
        assert_eq!(
            output.status.success(),
            success,
            "{}: {text}",
            self.host.name()
        );
        text
    }

    fn run(&self, words: &[&str]) -> Output {
        let invocation = Invocation {
            words: words.iter().map(|word| (*word).to_owned()).collect(),
            variables: vec![("DOCKER_CONFIG".to_owned(), "/tmp/admin".to_owned())],
            folder: None,
        };
        self.host.command(&invocation).unwrap().output().unwrap()
    }
}

impl Service {
    fn script(&self) -> String {
        let path = example().join(self.name).join("deploy-test.sh");
        fs_err::read_to_string(path).unwrap()
    }

    /// It waits 3 s for the new one.
    fn impatient_script(&self) -> String {
        changed(
            &self.script(),
            r#"|| ! answers "$patience""#,
            "|| ! answers 3",
        )
    }

    /// It sends itself a signal when the old container is out of the way.
    fn script_cut_off_by(&self, signal: &str) -> String {
        changed(
            &self.script(),
            "if ! run ||",
            &format!("kill -{signal} $$; if ! run ||"),
        )
    }
}

/// A deploy script with something else in place of this.
pub(crate) fn changed(script: &str, from: &str, to: &str) -> String {
    assert_eq!(script.matches(from).count(), 1, "{from} in\n{script}");
    script.replace(from, to)
}

/// As the shell of the host gets it from `ssh HOST "eval '$(cat …)'"`.
pub(crate) fn pasted(script: &str) -> String {
    assert!(!script.contains('\''), "a single quote ends it:\n{script}");
    format!("eval '{script}'")
}
