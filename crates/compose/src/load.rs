//! From a request to a project: the story of a load.

use std::fmt;

use yaml::{Map, Node, Problem, Span, Value};

use crate::file::{Absence, Loader};
use crate::interpolate::Variables;
use crate::project::ProjectName;
use crate::settings::{Settings, settings};
use crate::{
    Diagnostic, Files, Project, Request, Sources, check, extends, include, merge, normal, read,
    render,
};

/// What came of a load.
#[derive(Clone)]
pub struct Loaded {
    /// The project, if there is no error.
    pub project: Option<Project>,
    /// All that is to be said, by file and place.
    pub diagnostics: Vec<Diagnostic>,
    /// The texts that the diagnostics speak of, to render them with.
    pub sources: Sources,
    normal: Node,
}

impl Loaded {
    /// Whether an error forbids to go on.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }

    /// All diagnostics as plain text.
    pub fn render(&self) -> String {
        self.sources.render_all(&self.diagnostics)
    }

    /// The whole of it as one compose file, as `docker-compose config` prints it. It shows values of
    /// variables, secret ones too.
    pub fn config(&self) -> String {
        yaml::emit(&render::config(&self.normal))
    }

    /// The same as JSON.
    pub fn config_json(&self) -> serde_json::Value {
        let map = render::config(&self.normal);
        let value = Value::Map(std::sync::Arc::new(map));
        yaml::to_json(&Node::new(value, Span::default()))
    }
}

/// Without the texts and the tree: they may hold secrets.
impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded")
            .field("project", &self.project)
            .field("diagnostics", &self.diagnostics)
            .finish_non_exhaustive()
    }
}

/// Loads a project.
pub fn load(request: &Request, files: &dyn Files) -> Loaded {
    let home = request.environment.get("HOME").cloned();
    let mut loader = Loader::new(files, &request.directory, home);
    let mut project = None;
    let mut normal = Node::new(Value::Map(std::sync::Arc::default()), Span::default());
    if let Some(settings) = settings(&mut loader, request) {
        normal = normal_form(&mut loader, &settings);
        let read = read::project(&normal, &settings, &mut loader);
        check::project(&read, &mut loader.report);
        project = Some(read.project);
    }
    let failed = loader.report.errors() > 0;
    let (diagnostics, sources) = loader.report.finish();
    Loaded {
        project: project.filter(|_| !failed),
        diagnostics,
        sources,
        normal,
    }
}

/// The name of a project alone. What is wrong with its files beyond that does not matter here.
///
/// # Errors
/// When there are no files, in words.
pub fn project_name(request: &Request, files: &dyn Files) -> Result<ProjectName, String> {
    let home = request.environment.get("HOME").cloned();
    let mut loader = Loader::new(files, &request.directory, home);
    let name = settings(&mut loader, request).map(|settings| settings.name);
    name.ok_or_else(|| {
        let (diagnostics, sources) = loader.report.finish();
        sources.render_all(&diagnostics)
    })
}

/// One tree of all files, with nothing left to look up.
fn normal_form(loader: &mut Loader<'_>, settings: &Settings) -> Node {
    let model = Model {
        files: &settings.files,
        folder: &settings.folder,
        values: &settings.values,
        chain: &settings.files,
        asked_at: None,
    };
    let tree = model.load(loader);
    normal::normal(&merge::settled(&tree), settings, loader)
}

/// Files that make one tree: a project, or one that it includes.
pub(crate) struct Model<'m> {
    /// Absolute paths, each over the ones before it.
    pub(crate) files: &'m [String],
    /// What relative paths start from.
    pub(crate) folder: &'m str,
    pub(crate) values: &'m Variables,
    /// The files that led here.
    pub(crate) chain: &'m [String],
    /// Where it is included.
    pub(crate) asked_at: Option<Span>,
}

impl Model<'_> {
    /// All files merged, with what their services extend and what they include.
    pub(crate) fn load(&self, loader: &mut Loader<'_>) -> Node {
        let nothing = Node::new(
            Value::Map(std::sync::Arc::new(Map::default())),
            Span::default(),
        );
        let mut whole = nothing;
        for file in self.files {
            let absence = match self.asked_at {
                Some(span) => Absence::Error(span),
                None => Absence::OwnError,
            };
            for tree in loader.shaped(file, self.folder, self.values, &absence) {
                without_services(&tree, loader);
                let tree = extends::extend(loader, file, &tree, &whole, self.values);
                whole = merge::files(&whole, &tree);
            }
        }
        include::include(loader, &whole, self)
    }
}

/// Files of the first format have their services at the top.
fn without_services(tree: &Node, loader: &mut Loader<'_>) {
    let Some(map) = tree.as_map() else {
        return;
    };
    let version = map.entry("version");
    let number = version.and_then(|entry| entry.value.scalar_text());
    if let (Some(entry), Some("1" | "1.0")) = (version, number.as_deref()) {
        loader.report.add(
            Problem::error(
                "unsupported",
                entry.value.span,
                "files of version 1 are not supported",
            )
            .hint(
                "put the services under `services:`, and write `version: \"2.4\"` or leave it out",
            ),
        );
    }
}
