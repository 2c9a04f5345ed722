//! A part of a graph: some jobs of it, as a graph of their own.

use std::collections::BTreeSet;

use crate::{Graph, Job, Need};

impl Graph {
    /// These jobs, and all that they wait for: what they need, and for jobs without `needs` all jobs
    /// of earlier stages.
    pub fn with_all_before(&self, jobs: &BTreeSet<usize>) -> BTreeSet<usize> {
        let mut found = jobs.clone();
        let mut open: Vec<usize> = jobs.iter().copied().collect();
        while let Some(job) = open.pop() {
            for before in self.before(job) {
                if found.insert(before) {
                    open.push(before);
                }
            }
        }
        found
    }

    /// The graph of these jobs alone. They wait for each other as before, and for no other job; what
    /// names a job that is left out (`needs`, `dependencies`) loses that name.
    pub fn only(&self, jobs: &BTreeSet<usize>) -> Self {
        let kept: Vec<&Job> = jobs.iter().filter_map(|&at| self.jobs.get(at)).collect();
        let stages: BTreeSet<usize> = kept.iter().map(|job| job.stage).collect();
        let place = |all: &BTreeSet<usize>, at: usize| all.range(..at).count();
        let moved = |job: &Job| Job {
            stage: place(&stages, job.stage),
            needs: job.needs.as_ref().map(|needs| {
                let here = needs.iter().filter(|need| jobs.contains(&need.job));
                let moved = |need: &Need| Need {
                    job: place(jobs, need.job),
                    ..need.clone()
                };
                here.map(moved).collect()
            }),
            dependencies: job.dependencies.as_ref().map(|dependencies| {
                let here = dependencies.iter().filter(|at| jobs.contains(at));
                here.map(|&at| place(jobs, at)).collect()
            }),
            ..job.clone()
        };
        Self {
            stages: stages.iter().map(|&at| self.stages[at].clone()).collect(),
            jobs: kept.into_iter().map(moved).collect(),
            ..self.clone()
        }
    }

    fn before(&self, job: usize) -> Vec<usize> {
        let Some(found) = self.jobs.get(job) else {
            return Vec::new();
        };
        match &found.needs {
            Some(needs) => needs.iter().map(|need| need.job).collect(),
            None => (0..self.jobs.len())
                .filter(|&other| self.jobs[other].stage < found.stage)
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Input, compile};

    fn graph() -> Graph {
        let text = "
stages: [one, two, three, four]
a: {stage: one, script: x}
b: {stage: one, script: x}
c: {stage: two, needs: [b], script: x}
d: {stage: three, needs: [c], dependencies: [c], script: x}
e: {stage: four, script: x}
";
        let git_ref = model::GitRef::branch("main").unwrap();
        let compiled = compile(&Input::new("ci.yml", text, git_ref));
        compiled
            .graph
            .clone()
            .unwrap_or_else(|| panic!("{}", compiled.render()))
    }

    fn at(graph: &Graph, names: &[&str]) -> BTreeSet<usize> {
        names
            .iter()
            .map(|name| graph.job(name).unwrap().0)
            .collect()
    }

    #[test]
    fn what_a_job_waits_for() {
        let graph = graph();
        for (jobs, all) in [
            (&["a"][..], &["a"][..]),
            (&["d"], &["b", "c", "d"]),
            (&["a", "c"], &["a", "b", "c"]),
            (&["e"], &["a", "b", "c", "d", "e"]),
        ] {
            let found = graph.with_all_before(&at(&graph, jobs));
            assert_eq!(found, at(&graph, all), "{jobs:?}");
        }
    }

    #[test]
    fn a_part_has_its_own_numbers() {
        let graph = graph();
        let part = graph.only(&at(&graph, &["b", "d", "e"]));
        assert_eq!(part.stages, ["one", "three", "four"]);
        let names: Vec<_> = part
            .jobs
            .iter()
            .map(|job| (&*job.name, job.stage))
            .collect();
        assert_eq!(names, [("b", 0), ("d", 1), ("e", 2)]);
        assert_eq!(
            part.jobs[1].needs,
            Some(Vec::new()),
            "it waits for no stage"
        );
        assert_eq!(part.jobs[1].dependencies, Some(Vec::new()));
        let part = graph.only(&at(&graph, &["c", "d"]));
        let needs = part.jobs[1].needs.as_ref().unwrap();
        assert_eq!(needs.iter().map(|need| need.job).collect::<Vec<_>>(), [0]);
        assert_eq!(part.jobs[1].dependencies, Some(vec![0]));
        assert_eq!(graph.only(&(0..graph.jobs.len()).collect()), graph);
    }
}
