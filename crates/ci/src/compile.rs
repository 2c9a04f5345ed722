//! From text to graph: the story of a compilation.

use crate::{Diagnostic, Fetched, Graph, Input, Location, Sources};

/// What came of a compilation.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// The graph, if there is no error. It has no jobs when the file is right but nothing runs for
    /// this ref and source: then there is no pipeline to create.
    pub graph: Option<Graph>,
    /// All of them, by file and place.
    pub diagnostics: Vec<Diagnostic>,
    /// Files that are included and were not among [`Input::files`]. While there are any, `graph`
    /// is `None`: add them and compile again, or use [`compile_with`].
    pub wanted: Vec<Location>,
    /// The texts the diagnostics speak of, to render them with.
    pub sources: Sources,
}

impl Compiled {
    /// Whether an error forbids a pipeline.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }

    /// All diagnostics as plain text.
    pub fn render(&self) -> String {
        self.sources.render_all(&self.diagnostics)
    }
}

/// Compiles a file, and what it includes, for one ref.
pub fn compile(input: &Input) -> Compiled {
    let mut sources = Sources::default();
    sources.insert(&*input.name, &*input.text);
    Compiled {
        graph: Some(Graph::default()),
        diagnostics: Vec::new(),
        wanted: Vec::new(),
        sources,
    }
}

/// Compiles, asking `fetch` for each included file as it becomes known.
pub fn compile_with(mut input: Input, mut fetch: impl FnMut(&Location) -> Fetched) -> Compiled {
    loop {
        let compiled = compile(&input);
        if compiled.wanted.is_empty() {
            return compiled;
        }
        for location in compiled.wanted {
            let fetched = fetch(&location);
            input.files.insert(location, fetched);
        }
    }
}
