//! The five services of the demo's test host, each asked over the network by its own client: what they
//! hold is there after their own pipelines have deployed them again.

use std::net::SocketAddr;
use std::time::Instant;

use crate::laptop::Laptop;
use crate::mail;

const SERVICES: [&str; 5] = ["postgresql", "cache", "elasticsearch", "rabbitmq", "exim4"];
const HOST: &str = "invenio03-test";
const WEB: &str = "invenio01-test";
/// What is put into each service, once.
const WORD: &str = "breakwater";

/// A program that asks a service.
struct Client {
    /// Where it runs.
    host: &'static str,
    /// What it is called by, in a shell.
    command: &'static str,
    /// Its arguments that put [`WORD`] into the service.
    put: &'static str,
    /// Its arguments that print what was put there.
    get: &'static str,
}

/// The last is the application's own, in a container of the application.
const CLIENTS: [Client; 4] = [
    Client {
        host: HOST,
        command: r#". /etc/invenio/postgresql.env
            docker run --rm --network host --env PGPASSWORD="$POSTGRES_PASSWORD" \
                --entrypoint psql registry.lotse.lab/invenio/postgresql \
                --quiet --no-align --tuples-only --set ON_ERROR_STOP=1 \
                --host invenio03-test --username "$POSTGRES_USER" --dbname "$POSTGRES_DB""#,
        put: r#"--command "CREATE TABLE clients AS SELECT 'breakwater' AS word""#,
        get: r#"--command "SELECT word FROM clients""#,
    },
    Client {
        host: HOST,
        command: r#". /etc/invenio/cache.env
            docker run --rm --network host --env REDISCLI_AUTH="$REDIS_PASSWORD" \
                --entrypoint redis-cli registry.lotse.lab/invenio/cache -h invenio03-test"#,
        put: "SET clients breakwater",
        get: "GET clients",
    },
    Client {
        host: WEB,
        command: "curl --silent --fail",
        put: r#"--request PUT --json '{"text": "behind the Breakwater"}' \
            "http://invenio03-test:9200/clients/_doc/1?refresh=true""#,
        get: r#""http://invenio03-test:9200/clients/_search?q=text:breakWATER" |
            grep --only-matching --word-regexp Breakwater | tr B b"#,
    },
    Client {
        host: WEB,
        command: r#"docker exec "$(docker ps --filter name=worker --format "{{.Names}}" | head -n 1)" python -c"#,
        put: r#"'if True:
            import os, kombu
            with kombu.Connection(os.environ["INVENIO_CELERY_BROKER_URL"]) as connection:
                queue = connection.SimpleQueue("clients")
                for word in ["mole", "breakwater"]:
                    queue.put(word)
                message = queue.get(timeout=20)
                assert message.payload == "mole", message
                message.ack()'"#,
        get: r#"'if True:
            import os, kombu
            with kombu.Connection(os.environ["INVENIO_CELERY_BROKER_URL"]) as connection:
                message = kombu.Queue("clients", channel=connection).get()
                print(message.payload)
                message.requeue()'"#,
    },
];

pub(crate) async fn tell(laptop: &Laptop) {
    let begin = Instant::now();
    for client in &CLIENTS {
        client.ask(laptop, client.put);
        client.must_find_the_word(laptop);
    }
    send_mail(laptop, "before").await;
    let before = SERVICES.map(|service| container(laptop, service));

    deploy_again(laptop).await;

    for (service, before) in SERVICES.iter().zip(before) {
        assert_ne!(
            container(laptop, service),
            before,
            "{service} is the old one"
        );
    }
    for client in &CLIENTS {
        client.must_find_the_word(laptop);
    }
    send_mail(laptop, "behind").await;
    let mails = exec(
        laptop,
        &["docker", "exec", "exim4", "cat", "/var/mail/keepers"],
    );
    assert!(
        mails.contains("Subject: before the breakwater\n"),
        "{mails}"
    );
    println!(
        "five clients, and a deploy of each service: {:.1?}",
        begin.elapsed()
    );
}

impl Client {
    fn ask(&self, laptop: &Laptop, arguments: &str) -> String {
        let script = format!("{} {arguments}", self.command);
        laptop.exec(self.host, &["sh", "-ec", &script])
    }

    fn must_find_the_word(&self, laptop: &Laptop) {
        assert_eq!(self.ask(laptop, self.get).trim(), WORD, "{}", self.command);
    }
}

async fn send_mail(laptop: &Laptop, place: &str) {
    let server = SocketAddr::from((laptop.host(HOST).address(), 25));
    mail::send(server, "root@localhost", &format!("{place} the breakwater")).await;
}

/// By their own pipelines: their last deploys to the test host are done again.
async fn deploy_again(laptop: &Laptop) {
    let projects = SERVICES.map(|service| format!("invenio/{service}"));
    for project in &projects {
        laptop
            .lotse(&["job", "retry", "test", "--project", project])
            .await;
    }
    for project in &projects {
        laptop
            .lotse(&["pipeline", "watch", "--project", project])
            .await;
    }
}

fn container(laptop: &Laptop, service: &str) -> String {
    exec(
        laptop,
        &["docker", "inspect", "--format", "{{.Id}}", service],
    )
}

fn exec(laptop: &Laptop, words: &[&str]) -> String {
    laptop.exec(HOST, words)
}
