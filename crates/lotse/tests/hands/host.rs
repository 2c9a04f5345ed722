//! One host: an engine, hands on it, and what users of its ports see.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use apply::Owner;
use apply::hands::{Hands, HandsOptions, Releases, Told};
use deploy::host::{Health, State};
use deploy::{
    Desired, Environment, Failure, HostName, HostPlan, HostSeen, Lease, Look, Plan, PlannedStep,
    Request, Seen, Step, Until,
};
use docker::{Engine, EngineAddress};
use testkit::busybox;
use testkit::dockerd::Dockerd;
use tokio::sync::mpsc;

use crate::app::App;

/// Nothing in a story may take longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Host {
    pub(crate) daemon: Dockerd,
    pub(crate) engine: Engine,
    pub(crate) hands: Hands,
    pub(crate) environment: Environment,
}

impl Host {
    /// Nothing, said aloud, where it cannot be.
    pub(crate) async fn start() -> Option<Self> {
        if !busybox::is_installed() {
            testkit::skip("busybox-static is not installed");
            return None;
        }
        let daemon = Dockerd::start()?;
        let engine = connect(&daemon).await;
        let settings = "[environment.prod]\nhosts = [\"unix:///one\"]\nmonitor = \"300ms\"\n\
            health = \"/index.html\"\ngrace = \"5s\"\nkeep = 1\n";
        let settings: deploy::Settings = settings.parse().unwrap();
        let environment = settings.environments.into_values().next().unwrap();
        Some(Self {
            hands: hands(&engine, "shop", "prod"),
            daemon,
            engine,
            environment,
        })
    }

    /// Connects anew, with new hands: as another deployer, or after the engine was away.
    pub(crate) async fn again(&mut self) {
        self.engine = connect(&self.daemon).await;
        self.hands = hands(&self.engine, "shop", "prod");
    }

    pub(crate) async fn observe(&self) -> HostSeen {
        self.hands.observe().await.unwrap()
    }

    pub(crate) async fn lock(&self, holder: &str) -> Result<HostSeen, Failure> {
        let lease = Lease {
            holder: holder.parse().unwrap(),
            length: "60s".parse().unwrap(),
        };
        let (told, _heard) = mpsc::unbounded_channel();
        let (step, none) = (Step::Lock(lease), Releases::new());
        match self.hands.carry_out(&step, &none, &told).await? {
            Seen::Host(seen) => Ok(*seen),
            Seen::Nothing => panic!("it did not look"),
        }
    }

    pub(crate) async fn plan(&self, desired: Desired) -> Plan {
        let seen = self.observe().await;
        let observed = BTreeMap::from([(host_name(), Ok(seen))]);
        let request = Request {
            name: "prod".parse().unwrap(),
            environment: self.environment.clone(),
            holder: "tester".parse().unwrap(),
            edge: env!("CARGO_PKG_VERSION").to_owned(),
            desired,
        };
        Plan::make(&request, &observed).unwrap_or_else(|problems| panic!("{problems}"))
    }

    pub(crate) async fn plan_deploy(&self, app: &App) -> Plan {
        self.plan(Desired::Deploy(Box::new(app.draft(&self.engine).await)))
            .await
    }

    /// Carries out a step; a wait ends when what is waited for is well.
    pub(crate) async fn carry_out(&self, step: &Step, releases: &Releases) -> Result<(), Failure> {
        let (told, mut heard) = mpsc::unbounded_channel();
        let carrying = Box::pin(self.hands.carry_out(step, releases, &told));
        let last = std::sync::Mutex::new(None);
        let well = async {
            loop {
                match heard.recv().await {
                    Some(Told::Look(look)) if is_well(step, &look) => return,
                    Some(Told::Progress(words)) => eprintln!("  {words}"),
                    Some(Told::Look(look)) => *last.lock().unwrap() = Some(look),
                    None => std::future::pending().await,
                }
            }
        };
        let outcome = tokio::time::timeout(PATIENCE, async {
            tokio::select! {
                outcome = carrying => outcome.map(|_| ()),
                () = well => Ok(()),
            }
        });
        outcome
            .await
            .unwrap_or_else(|_| panic!("{step:?} has no end: {last:?}"))
    }

    /// All steps of a plan that lead to its end, in order.
    pub(crate) async fn roll_out(&self, plan: &Plan) {
        for planned in steps(plan) {
            let begin = Instant::now();
            let done = self.carry_out(&planned.step, &plan.releases).await;
            done.unwrap_or_else(|failure| panic!("{:?}: {failure:?}", planned.step));
            eprintln!("{} in {:?}", words(&planned.step), begin.elapsed());
        }
    }

    /// What the port answers to a request; the reason when it does not.
    pub(crate) fn get(&self, port: u16) -> Result<String, String> {
        self.exchange(port, b"GET /index.html HTTP/1.0\r\nhost: shop\r\n\r\n")
    }

    /// What comes back from a port until it closes, or has sent as much as it got.
    pub(crate) fn exchange(&self, port: u16, bytes: &'static [u8]) -> Result<String, String> {
        let network = self.daemon.network();
        let asking = std::thread::spawn(move || {
            network.enter();
            let ask = || {
                let mut stream = TcpStream::connect(("127.0.0.1", port))?;
                stream.set_read_timeout(Some(Duration::from_secs(20)))?;
                stream.write_all(bytes)?;
                let mut answer = vec![0; 4096];
                let mut size = 0;
                while size < bytes.len() || bytes.starts_with(b"GET") {
                    match stream.read(&mut answer[size..])? {
                        0 => break,
                        read => size += read,
                    }
                }
                answer.truncate(size);
                Ok(String::from_utf8_lossy(&answer).into_owned())
            };
            ask().map_err(|error: std::io::Error| error.to_string())
        });
        asking.join().unwrap()
    }

    /// Waits until the port serves this version.
    pub(crate) fn serves(&self, version: &str) {
        let page = format!("shop {version}");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.get(8080);
            if found.as_ref().is_ok_and(|text| text.contains(&page)) {
                return;
            }
            assert!(Instant::now() < deadline, "no {page}, but {found:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

pub(crate) fn hands(engine: &Engine, project: &str, environment: &str) -> Hands {
    let owner = Owner {
        project: project.parse().unwrap(),
        environment: environment.parse().unwrap(),
    };
    let options = HandsOptions {
        program: Some(PathBuf::from(env!("CARGO_BIN_EXE_lotse"))),
        ..HandsOptions::default()
    };
    Hands::new(engine.clone(), owner, options)
}

/// All steps of a plan for the one host that lead to its end, in order.
pub(crate) fn steps(plan: &Plan) -> impl Iterator<Item = &PlannedStep> {
    let HostPlan {
        prepare,
        once,
        roll,
        commit,
        finish,
        ..
    } = &plan.hosts[0];
    [prepare, once, roll, commit, finish].into_iter().flatten()
}

pub(crate) fn words(step: &Step) -> String {
    let text = format!("{step:?}");
    text.chars().take(100).collect()
}

fn host_name() -> HostName {
    "unix:///one".parse().unwrap()
}

async fn connect(daemon: &Dockerd) -> Engine {
    let address = EngineAddress::Unix(daemon.socket());
    Engine::connect(&address, None).await.unwrap()
}

fn is_well(step: &Step, look: &Look) -> bool {
    let (Step::Await { waits, .. } | Step::Watch { waits, .. }) = step else {
        return false;
    };
    waits.iter().all(|wait| {
        let found = look
            .containers
            .iter()
            .filter(|found| found.place == wait.place && found.container.service == wait.service);
        let well = found.filter(|found| match (wait.until, found.container.state) {
            (Until::Completed, state) => state == State::Exited(0),
            (Until::Healthy, State::Running) => {
                matches!(found.container.health, None | Some(Health::Healthy))
            }
            _ => false,
        });
        well.count() == wait.containers as usize
    })
}
