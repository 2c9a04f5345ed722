//! An edge: routes to containers, and the targets before them standing by.

use std::collections::BTreeMap;

use deploy::release::{LeadsTo, Listen, Place, Route};

use crate::engine::Engine;

pub type Routes = BTreeMap<Listen, (LeadsTo, Vec<u64>)>;

#[derive(Debug, Clone, Default)]
pub struct Edge {
    pub version: String,
    pub routes: Routes,
    /// The routes before, and until when they stand by.
    pub standby: Option<(Routes, u64)>,
    /// What it found ill since the switch.
    pub ill: Vec<LeadsTo>,
}

impl Edge {
    /// Swaps all routes in one step, once the targets answer.
    pub fn set(
        &mut self,
        wanted: &[Route],
        standby: u64,
        engine: &mut Engine,
        now: u64,
    ) -> Result<(), String> {
        let mut routes = Routes::new();
        for route in wanted {
            let leads_to = &route.leads_to;
            let targets: Vec<u64> = engine
                .of(leads_to.place, &leads_to.service)
                .filter(|found| found.is_up(now))
                .map(|found| found.id)
                .collect();
            let well = engine
                .containers
                .iter()
                .filter(|found| targets.contains(&found.id))
                .all(|found| found.answers(now));
            if targets.is_empty() || !well {
                return Err(format!(
                    "{} of {} gives no good answer",
                    leads_to.service, leads_to.place
                ));
            }
            routes.insert(route.listen.clone(), (leads_to.clone(), targets));
        }
        for container in &mut engine.containers {
            if routes
                .values()
                .any(|(_, targets)| targets.contains(&container.id))
            {
                container.in_service.get_or_insert(now);
            }
        }
        if routes != self.routes {
            let before = std::mem::replace(&mut self.routes, routes);
            self.standby = (!before.is_empty()).then_some((before, now + standby));
            self.ill.clear();
        }
        Ok(())
    }

    /// Falls back to the targets before when the new ones fail while those stand by.
    pub fn tick(&mut self, engine: &Engine, now: u64) {
        let released = |leads_to: &LeadsTo| leads_to.place != Place::Standing;
        let well = |routes: &Routes| {
            let mut released = routes.values().filter(|(leads_to, _)| released(leads_to));
            released.all(|(_, targets)| answer(engine, targets, now))
        };
        if well(&self.routes) {
            self.standby = self.standby.take().filter(|(_, until)| *until > now);
            return;
        }
        let failing = self
            .routes
            .values()
            .filter(|(_, targets)| !answer(engine, targets, now));
        let failing: Vec<LeadsTo> = failing.map(|(leads_to, _)| leads_to.clone()).collect();
        if let Some((before, _)) = self
            .standby
            .take_if(|(before, until)| *until > now && well(before))
        {
            self.routes = before;
            self.ill = failing;
        }
    }
}

pub fn answer(engine: &Engine, targets: &[u64], now: u64) -> bool {
    let mut found = engine
        .containers
        .iter()
        .filter(|found| targets.contains(&found.id))
        .peekable();
    found.peek().is_some() && found.all(|container| container.answers(now))
}
