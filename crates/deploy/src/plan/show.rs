//! A plan as lines for people: `lotse plan`.

use std::fmt;

use super::{HostPlan, Plan, PlannedStep};
use crate::record::Way;
use crate::release::Kind;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.head(f)?;
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        if self.is_empty() {
            return writeln!(f, "nothing to do: all hosts serve it");
        }
        self.services(f)?;
        self.part(f, "prepare all hosts", |host| &host.prepare)?;
        self.part(f, "once, before any switch", |host| &host.once)?;
        for (index, batch) in self.batches.iter().enumerate() {
            if index > 0 && !self.policy.delay.get().is_zero() {
                writeln!(f, "wait {}", self.policy.delay)?;
            }
            writeln!(f, "batch {} of {}", index + 1, self.batches.len())?;
            for host in batch.iter().filter_map(|name| self.host(name)) {
                steps(f, host, &host.roll)?;
            }
        }
        self.part(f, "when all hosts serve it", |host| &host.commit)?;
        self.part(f, "then", |host| &host.finish)
    }
}

impl Plan {
    fn head(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = self
            .release()
            .map_or_else(|| self.intent.to.to_string(), |release| release.title());
        let way = match self.intent.way {
            Way::Deploy => "deploy",
            Way::Rollback => "roll back to",
        };
        write!(f, "{way} release {title} of {}", self.environment)?;
        match self.intent.from {
            Some(from) if from != self.intent.to => writeln!(f, ", in place of {from}"),
            _ => writeln!(f),
        }
    }

    fn services(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(release) = self.release() else {
            return Ok(());
        };
        writeln!(f, "services")?;
        for (name, member) in &release.services {
            let kind = member.kind();
            let replicas = match (kind, member.replicas()) {
                (Kind::Once, _) | (_, 1) => String::new(),
                (_, replicas) => format!(" × {replicas}"),
            };
            writeln!(f, "  {name}{replicas}: {kind}, as {}", member.why)?;
        }
        Ok(())
    }

    fn part(
        &self,
        f: &mut fmt::Formatter<'_>,
        title: &str,
        list: fn(&HostPlan) -> &Vec<PlannedStep>,
    ) -> fmt::Result {
        if self.hosts.iter().all(|host| list(host).is_empty()) {
            return Ok(());
        }
        writeln!(f, "{title}")?;
        for host in &self.hosts {
            steps(f, host, list(host))?;
        }
        Ok(())
    }
}

fn steps(f: &mut fmt::Formatter<'_>, host: &HostPlan, steps: &[PlannedStep]) -> fmt::Result {
    if steps.is_empty() {
        return Ok(());
    }
    writeln!(f, "  {}", host.host.short())?;
    for planned in steps {
        writeln!(f, "    {planned}")?;
    }
    Ok(())
}

impl fmt::Display for PlannedStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.step, self.why)
    }
}
