//! The five services of the demo's production site, each asked by its own client in its own container.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::laptop::{HOSTS, Laptop};

pub(crate) const SERVICES: &str = "invenio03-prod";
/// So long it may take until the queue has noticed that a worker is gone, and another has done its work.
const PATIENCE: Duration = Duration::from_secs(300);

/// A record, and a word that no other has.
pub(crate) struct Record {
    pub(crate) id: String,
    pub(crate) word: String,
}

impl Record {
    /// Posts one through the balancer. Announcing it takes the worker so many seconds.
    pub(crate) async fn post(laptop: &Laptop, word: &str, announce_seconds: u64) -> Self {
        let title = format!("A record of a {word}");
        let record = json!({ "title": title, "announce_seconds": announce_seconds });
        let post = laptop.http.post(laptop.front("/api/records"));
        let answer = post.json(&record).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert_eq!(status, 201, "{text}");
        let said: Value = serde_json::from_str(&text).unwrap();
        let id = said["id"].as_str().unwrap().to_owned();
        let word = word.to_owned();
        Self { id, word }
    }

    /// What the site says of it.
    pub(crate) async fn read(&self, laptop: &Laptop) -> Value {
        let url = laptop.front(&format!("/api/records/{}", self.id));
        let answer = laptop.http.get(url).send().await.unwrap();
        let status = answer.status();
        let said: Value = answer.json().await.unwrap();
        assert_eq!(status, 200, "{said}");
        said
    }

    /// Waits until the worker has done all with it.
    pub(crate) async fn await_done(&self, laptop: &Laptop) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let said = self.read(laptop).await;
            if said["indexed"] == true && said["announced"] == true {
                return;
            }
            if Instant::now() > deadline {
                panic!(
                    "the worker is not done: {said}\n{}",
                    what_workers_do(laptop)
                );
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// How many mails speak of it.
    pub(crate) fn mails(&self, laptop: &Laptop) -> usize {
        let mails = ask(laptop, "exim4", "cat /var/mail/*");
        let subject = format!("Subject: new record {}", self.id);
        mails.lines().filter(|line| **line == subject).count()
    }
}

/// The queues, and what the workers have said last.
fn what_workers_do(laptop: &Laptop) -> String {
    let queues = "docker exec $(docker ps -q --filter name=rabbitmq) rabbitmqctl list_queues \
        name messages_ready messages_unacknowledged consumers; docker ps -a";
    let workers = "docker ps -a; for container in $(docker ps -aq --filter name=worker); do \
        echo == $container; docker logs --tail 60 $container; done";
    let asked = [(SERVICES, queues), (HOSTS[0], workers), (HOSTS[1], workers)];
    let said = asked.map(|(host, script)| {
        let output = laptop.host(host).exec(&["sh", "-c", script]).unwrap();
        format!("{host}:\n{}", testkit::dockerd::text_of(&output))
    });
    said.join("\n")
}

/// Runs a script in a service's container, whichever form has made that; what it prints.
pub(crate) fn ask(laptop: &Laptop, service: &str, script: &str) -> String {
    let find = ["docker", "ps", "--format", "{{.Names}}"];
    let running = laptop.exec(SERVICES, &find);
    let standing = format!("services-standing-{service}-1");
    let mut names = running.lines();
    let container = names.find(|name| *name == service || *name == standing);
    let container = container.unwrap_or_else(|| panic!("{service} is not among {running}"));
    laptop.exec(SERVICES, &["docker", "exec", container, "sh", "-c", script])
}

/// One value of the database.
pub(crate) fn sql(laptop: &Laptop, query: &str) -> String {
    let psql = r#"psql --no-align --tuples-only --username "$POSTGRES_USER" "$POSTGRES_DB""#;
    let text = ask(
        laptop,
        "postgresql",
        &format!("{psql} --command \"{query}\""),
    );
    text.trim().to_owned()
}

/// A record that is posted goes through all of them.
pub(crate) async fn tell(laptop: &Laptop) {
    workers(laptop, "stop");
    let record = Record::post(laptop, "lighthouse", 0).await;
    let title = format!(
        "SELECT json->>'title' FROM records_metadata WHERE id = '{}'",
        record.id
    );
    assert!(sql(laptop, &title).ends_with(&record.word), "stored");
    assert_eq!(queued(laptop), 2, "to be indexed, and to be announced");
    let said = record.read(laptop).await;
    assert_eq!(
        (&said["indexed"], &said["announced"]),
        (&json!(false), &json!(false))
    );

    workers(laptop, "start");
    record.await_done(laptop).await;
    assert_eq!(queued(laptop), 0, "nothing is left to do");
    let keys = ask(
        laptop,
        "cache",
        "REDISCLI_AUTH=$REDIS_PASSWORD redis-cli --scan",
    );
    for done in ["indexed", "announced"] {
        let key = format!("{done}:{}", record.id);
        assert!(
            keys.lines().any(|known| known.ends_with(&key)),
            "{key}: {keys}"
        );
    }
    let url = format!("http://127.0.0.1:9200/records/_doc/{}", record.id);
    let document = ask(
        laptop,
        "elasticsearch",
        &format!("curl --silent --fail {url}"),
    );
    assert!(document.contains(&record.word), "{document}");
    assert_eq!(found(laptop, &record.word).await, [record.id.as_str()]);
    assert_eq!(record.mails(laptop), 1);
    files_are_the_same(laptop).await;
}

/// The ids of the records that the site finds by a word.
pub(crate) async fn found(laptop: &Laptop, word: &str) -> Vec<String> {
    let url = laptop.front(&format!("/api/search?q={word}"));
    let answer = laptop.http.get(url).send().await.unwrap();
    let said: Value = answer.error_for_status().unwrap().json().await.unwrap();
    let hits = said["hits"].as_array().unwrap().iter();
    hits.map(|hit| hit["id"].as_str().unwrap().to_owned())
        .collect()
}

fn workers(laptop: &Laptop, verb: &str) {
    for host in HOSTS {
        laptop.exec(host, &["docker", verb, "repository_worker_1"]);
    }
}

/// How many tasks wait in the queue or are at a worker.
fn queued(laptop: &Laptop) -> u64 {
    let list = "rabbitmqctl --quiet --no-table-headers list_queues name messages";
    let queues = ask(laptop, "rabbitmq", list);
    let queue = queues
        .lines()
        .find_map(|line| line.strip_prefix("celery\t"));
    queue.map_or(0, |count| count.trim().parse().unwrap())
}

/// What is uploaded to one web server is read from the other, and through the balancer.
async fn files_are_the_same(laptop: &Laptop) {
    let content: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let at = |host| format!("http://{}/api/files/shared", laptop.port(host));
    for (to, from) in [(HOSTS[0], HOSTS[1]), (HOSTS[1], HOSTS[0])] {
        let content = [to.as_bytes(), &content].concat();
        let upload = laptop.http.put(at(to)).body(content.clone());
        assert_eq!(upload.send().await.unwrap().status(), 201);
        for url in [at(from), laptop.front("/api/files/shared")] {
            let read = laptop.http.get(&url).send().await.unwrap();
            assert!(read.bytes().await.unwrap() == content, "{url} after {to}");
        }
    }
}
