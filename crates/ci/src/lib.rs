//! Turns `.gitlab-ci.yml` into a job graph, or into every diagnostic it deserves.
//!
//! Everything comes in as a value: texts, the ref, variables, changed files, included files; out
//! comes a [`Graph`] that leaves nothing to choose, with all diagnostics of all files. The crate
//! knows no file system, network, clock or runner. What a runner cannot do is carried all the same.

mod compile;
mod component;
mod graph;
mod input;
mod subgraph;
mod variables;

mod assemble;
mod danger;
mod draft;
mod expression;
mod extend;
mod glob;
mod globals;
mod inputs;
mod load;
mod merge;
mod policy;
mod read;
mod reference;
mod report;
mod rules;
mod schema;
mod scope;

pub use compile::{Compiled, LeftOut, compile, compile_with};
pub use component::{ComponentAddress, ComponentVersion};
pub use graph::{
    AllowFailure, Artifacts, AutoCancel, Cache, CacheKey, CachePolicy, Environment,
    EnvironmentAction, Graph, Hooks, IdToken, Image, Job, JobFailureCancel, Matrix, Need,
    NewCommitCancel, Parallel, Release, Retry, SaveWhen, Service, Trigger, TriggerInclude,
    TriggerTarget, When,
};
pub use input::{
    Changes, Comparison, ComponentFacts, Fetched, Input, Layers, Location, Missing, Origin,
    Purpose, RepositoryAt, Source, Tree,
};
pub use schema::json_schema;
pub use variables::{expand, expand_text, merge};
pub use yaml::{Diagnostic, Level, Place, Sources};
