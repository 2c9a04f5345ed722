//! A deployer: carries out what a rollout says, until the end or until it is killed.

use std::collections::BTreeMap;
use std::time::Duration;

use deploy::name::HostName;
use deploy::span::Span;
use deploy::{
    Action, Desired, Environment, Event, Moment, Outcome, Request, Rollout, Step, StepId,
};

use crate::project::App;
use crate::world::{Budget, World};

/// How long a step takes, in milliseconds.
const STEP: u64 = 50;

/// When a deployer is killed: at its n-th step, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kill {
    pub step: usize,
    pub when: When,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    Before,
    /// After so many of its effects.
    Amid(usize),
    After,
}

/// What a run came to.
#[derive(Debug)]
pub struct Run {
    /// `None` when it was killed.
    pub outcome: Option<Outcome>,
    /// The steps that were begun, in order.
    pub steps: Vec<(HostName, Step)>,
}

/// What goes wrong with steps, by what they say of themselves.
pub type Faults = Vec<(usize, &'static str)>;

pub struct Driver<'a> {
    world: &'a mut World,
    request: Request,
    kill: Option<Kill>,
    /// Host (by index) and the beginning of the line of a step that fails there.
    pub faults: Faults,
    /// What happens when so many milliseconds have passed.
    pub after: Option<(u64, Blow)>,
}

/// What can happen to a deployer at any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blow {
    /// The user wants it to end.
    Interrupt,
    /// Somebody takes the lock of the host with this index.
    LockTaken(usize),
    /// The network to the host with this index is cut.
    Cut(usize),
}

struct Active {
    host: HostName,
    step: Step,
    number: usize,
    due: u64,
}

impl<'a> Driver<'a> {
    pub fn new(world: &'a mut World, desired: Desired) -> Self {
        let request = request(world, desired);
        Self {
            world,
            request,
            kill: None,
            faults: Vec::new(),
            after: None,
        }
    }

    pub fn with(mut self, change: impl FnOnce(&mut Environment)) -> Self {
        change(&mut self.request.environment);
        self
    }

    pub fn kill(mut self, kill: Kill) -> Self {
        self.kill = Some(kill);
        self
    }

    pub fn run(mut self) -> Run {
        let mut rollout = Rollout::new(self.request.clone());
        let mut active: BTreeMap<StepId, Active> = BTreeMap::new();
        let mut run = Run {
            outcome: None,
            steps: Vec::new(),
        };
        let moment = |now: u64| Moment(Duration::from_millis(now));
        let begin = self.world.now;
        let mut actions = rollout.start(moment(begin));
        loop {
            for action in actions {
                match action {
                    Action::Run { id, host, step, .. } => {
                        let time = match &step {
                            Step::Wait { time } => time.get().as_millis() as u64,
                            _ => STEP,
                        };
                        let number = run.steps.len();
                        run.steps.push((host.clone(), step.clone()));
                        active.insert(
                            id,
                            Active {
                                host,
                                step,
                                number,
                                due: self.world.now + time,
                            },
                        );
                    }
                    Action::Stop { id } => {
                        active.remove(&id);
                    }
                    Action::Finish(outcome) => {
                        self.world.check();
                        run.outcome = Some(outcome);
                        return run;
                    }
                }
            }
            assert!(self.world.now < begin + 3_600_000, "an hour has passed");
            self.world.pass(50);
            let now = self.world.now;
            self.renew();
            actions = Vec::new();
            if let Some((_, blow)) = self.after.take_if(|(after, _)| now >= begin + *after) {
                actions.extend(
                    self.strike(blow)
                        .map(|event| rollout.on(moment(now), event))
                        .into_iter()
                        .flatten(),
                );
            }
            let due: Vec<StepId> = active
                .iter()
                .filter(|(_, active)| active.due <= now)
                .map(|(id, _)| *id)
                .collect();
            for id in due {
                // An action before may have stopped it.
                let stopped = actions.contains(&Action::Stop { id });
                let Some(found) = active.get(&id).filter(|_| !stopped) else {
                    continue;
                };
                let (host, step, number) = (found.host.clone(), found.step.clone(), found.number);
                let kill = self.kill.filter(|kill| kill.step == number);
                let looks = matches!(step, Step::Await { .. } | Step::Watch { .. });
                let mut budget = match kill.map(|kill| kill.when) {
                    Some(When::Before) => return run,
                    Some(When::Amid(_)) if looks => return run,
                    Some(When::Amid(effects)) => Budget(effects),
                    _ => Budget::all(),
                };
                if looks && kill.is_none() {
                    let event = match self.world.look(&host) {
                        Ok(look) => Event::Looked(id, look),
                        Err(failure) => Event::Failed(id, failure),
                    };
                    if matches!(event, Event::Failed(..)) {
                        active.remove(&id);
                    }
                    actions.extend(rollout.on(moment(now), event));
                    continue;
                }
                active.remove(&id);
                let line = step.to_string();
                let index = self
                    .world
                    .names()
                    .iter()
                    .position(|name| *name == host)
                    .unwrap();
                let faulty = self
                    .faults
                    .iter()
                    .any(|(at, begin)| *at == index && line.starts_with(begin));
                let result = match faulty {
                    true => Err(crate::world::failure("the disk is full")),
                    false => self.world.apply(
                        &host,
                        &step,
                        |number| rollout.release(number),
                        &mut budget,
                    ),
                };
                self.world.check();
                if kill.is_some() {
                    return run;
                }
                let event = match result {
                    Ok(seen) => Event::Done(id, seen),
                    Err(failure) => Event::Failed(id, failure),
                };
                actions.extend(rollout.on(moment(now), event));
            }
        }
    }

    fn strike(&mut self, blow: Blow) -> Option<Event> {
        let until = self.world.now + 60_000;
        match blow {
            Blow::Interrupt => Some(Event::Interrupted),
            Blow::LockTaken(index) => {
                let (host, found) = self.world.hosts.iter_mut().nth(index)?;
                let holder: deploy::Holder = "colleague at desk".parse().unwrap();
                found.lock = Some((holder.clone(), until));
                Some(Event::LockLost {
                    host: host.clone(),
                    by: Some(holder),
                })
            }
            Blow::Cut(index) => {
                self.world.hosts.values_mut().nth(index)?.away = true;
                None
            }
        }
    }

    fn renew(&mut self) {
        let until = self.world.now + 60_000;
        for host in self.world.hosts.values_mut() {
            if let Some((_, expires)) = host
                .lock
                .as_mut()
                .filter(|(holder, _)| *holder == self.request.holder)
            {
                *expires = until;
            }
        }
    }
}

fn request(world: &World, desired: Desired) -> Request {
    Request {
        name: "prod".parse().unwrap(),
        environment: Environment {
            hosts: world.names(),
            health: Some("/ping".parse().unwrap()),
            monitor: Some(Span::seconds(1)),
            deadline: Some(Span::seconds(5)),
            lease: Some(Span::seconds(60)),
            ..Environment::default()
        },
        desired,
        holder: format!("test at {}", world.now).parse().unwrap(),
        edge: "0.1.0".to_owned(),
    }
}

impl World {
    /// A deployer for this version, whose images are in the registry.
    pub fn deploy(&mut self, app: &App) -> Driver<'_> {
        let project = app.project();
        let images = project
            .services
            .values()
            .filter_map(|service| service.image.as_deref());
        self.registry.extend(images.map(crate::project::image));
        Driver::new(self, Desired::Deploy(Box::new(app.draft())))
    }

    pub fn rollback(&mut self) -> Driver<'_> {
        Driver::new(self, Desired::Back)
    }

    /// How containers of an image behave from now on, on all hosts.
    pub fn behave(&mut self, image: &str, behaviour: crate::engine::Behaviour) {
        for host in self.hosts.values_mut() {
            host.engine
                .behaviours
                .insert(crate::project::image(image), behaviour);
        }
    }
}
