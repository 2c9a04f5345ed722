//! What is known before the first compose file is read: which files, which folder, which variables.

use yaml::{Node, Problem, Span, Value};

use crate::dotenv::{self, Format, Line};
use crate::file::{Absence, Content, Loader};
use crate::interpolate::Variables;
use crate::project::ProjectName;
use crate::template::expand;
use crate::{Request, path};

/// The usual names, in the order of their rank, each with its file of changes.
const NAMES: [&str; 4] = [
    "docker-compose.yml",
    "docker-compose.yaml",
    "compose.yml",
    "compose.yaml",
];
const OVERRIDES: [&str; 4] = [
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
    "compose.override.yml",
    "compose.override.yaml",
];

/// A request with all its defaults filled in.
pub(crate) struct Settings {
    /// Absolute paths.
    pub(crate) files: Vec<String>,
    /// The folder of the project, absolute.
    pub(crate) folder: String,
    pub(crate) values: Variables,
    pub(crate) profiles: Vec<String>,
    pub(crate) name: ProjectName,
}

/// Nothing when there are no files: then it is reported.
pub(crate) fn settings(loader: &mut Loader<'_>, request: &Request) -> Option<Settings> {
    let given = given_files(request, &request.environment);
    let mut folder = match (&request.project_directory, given.first()) {
        (Some(folder), _) => absolute(request, folder),
        (None, Some(first)) => path::parent(first).to_owned(),
        (None, None) => absolute(request, "."),
    };
    let mut values = values(loader, request, &folder);
    let mut files = given_files(request, &values);
    if let (None, Some(first)) = (&request.project_directory, files.first()) {
        path::parent(first).clone_into(&mut folder);
    }
    if files.is_empty() {
        files = usual_files(loader, request, &folder)?;
        let found = path::parent(&files[0]).to_owned();
        if request.project_directory.is_none() && found != folder {
            let own = std::mem::take(&mut values);
            values = self::values(loader, request, &found);
            values.extend(own);
            folder = found;
        }
    }
    let name = name(loader, request, &files, &folder, &values);
    values
        .entry("COMPOSE_PROJECT_NAME".to_owned())
        .or_insert_with(|| name.to_string());
    let profiles = match request.profiles.is_empty() {
        false => request.profiles.clone(),
        true => {
            let named = values.get("COMPOSE_PROFILES").map(String::as_str);
            let names = named.unwrap_or_default().split(',').map(str::trim);
            names
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect()
        }
    };
    Some(Settings {
        files,
        folder,
        values,
        profiles,
        name,
    })
}

fn absolute(request: &Request, text: &str) -> String {
    let home = request.environment.get("HOME").map(String::as_str);
    path::absolute(&request.directory, text, home)
}

/// Those of the request, or of `COMPOSE_FILE`.
fn given_files(request: &Request, values: &Variables) -> Vec<String> {
    if !request.files.is_empty() {
        return request
            .files
            .iter()
            .map(|file| absolute(request, file))
            .collect();
    }
    let Some(list) = values.get("COMPOSE_FILE") else {
        return Vec::new();
    };
    let separator = values
        .get("COMPOSE_PATH_SEPARATOR")
        .map_or(":", String::as_str);
    let separator = if separator.is_empty() { ":" } else { separator };
    let names = list.split(separator).filter(|name| !name.is_empty());
    names.map(|name| absolute(request, name)).collect()
}

/// The first of the usual names in the folder or above it, with its file of changes.
fn usual_files(loader: &mut Loader<'_>, request: &Request, folder: &str) -> Option<Vec<String>> {
    let mut at = folder.to_owned();
    loop {
        let join = |name: &&str| path::absolute(&at, name, None);
        let found: Vec<String> = NAMES
            .iter()
            .map(join)
            .filter(|path| loader.exists(path))
            .collect();
        if let Some(first) = found.first() {
            several(loader, &found);
            let changes = OVERRIDES.iter().map(join).find(|path| loader.exists(path));
            return Some(
                [Some(first.clone()), changes]
                    .into_iter()
                    .flatten()
                    .collect(),
            );
        }
        if at == "/" {
            break;
        }
        at = path::parent(&at).to_owned();
    }
    let span = start(loader, &path::absolute(&request.directory, NAMES[0], None));
    let message = format!("there is no compose file in `{folder}` or a folder above it");
    loader
        .report
        .add(Problem::error("file", span, message).hint(format!(
            "name one with `-f`, or call it {}",
            NAMES.map(|name| format!("`{name}`")).join(", ")
        )));
    None
}

/// Says which of several usual names counts.
fn several(loader: &mut Loader<'_>, found: &[String]) {
    if let [first, second, ..] = found {
        let message = format!(
            "`{}` counts, `{}` is not read",
            loader.shown(first),
            loader.shown(second)
        );
        let span = start(loader, first);
        loader.report.add(
            Problem::warning("file", span, message)
                .hint("remove one of them, or name the right one with `-f`"),
        );
    }
}

/// The variables of files, and over them those of the process.
fn values(loader: &mut Loader<'_>, request: &Request, folder: &str) -> Variables {
    let listed = request.environment.get("COMPOSE_ENV_FILES");
    let listed = listed.map(|list| list.split(',').map(str::to_owned).collect());
    let given = match request.env_files.is_empty() {
        true => listed.unwrap_or_default(),
        false => request.env_files.clone(),
    };
    let mut files: Vec<(String, Absence)> = given
        .iter()
        .filter(|file| !file.is_empty())
        .map(|file| (absolute(request, file), Absence::OwnError))
        .collect();
    if files.is_empty() {
        files.push((format!("{folder}/.env"), Absence::Fine));
    }
    let mut values = Variables::new();
    for (file, absence) in files {
        let lines = loader.variables(&file, Format::Usual, &request.environment, &absence);
        values.extend(
            lines
                .into_iter()
                .filter_map(|(key, value)| Some((key, value?))),
        );
    }
    values.extend(request.environment.clone());
    values
}

impl Loader<'_> {
    /// The lines of a file of variables.
    pub(crate) fn variables(
        &mut self,
        path: &str,
        format: Format,
        outside: &Variables,
        absence: &Absence,
    ) -> Vec<Line> {
        let Some(text) = self.text(path, absence, Content::Hidden) else {
            return Vec::new();
        };
        // Each that asks gets a copy: a value stands for sixteen bytes.
        let start = Span {
            file: text.file,
            line: 1,
            column: 1,
            length: 1,
        };
        if !self.counted(text.text.len() / 16, start) {
            return Vec::new();
        }
        dotenv::parse(text.file, &text.text, format, outside, &mut self.report)
    }
}

/// The name that is asked for, else that of the files, else that of the folder.
fn name(
    loader: &mut Loader<'_>,
    request: &Request,
    files: &[String],
    folder: &str,
    values: &Variables,
) -> ProjectName {
    let asked = request.project_name.clone();
    let asked = asked.or_else(|| values.get("COMPOSE_PROJECT_NAME").cloned());
    if let Some(text) = asked.filter(|text| !text.is_empty()) {
        return text.parse().unwrap_or_else(|_| {
            let name = normalised(&text);
            let span = start(loader, &files[0]);
            let message = format!(
                "the project's name `{}` becomes `{name}`",
                crate::shape::shortened(&text)
            );
            loader.report.add(
                Problem::warning("name", span, message).hint(
                    "use lower-case letters, digits, `_` and `-`, with a letter or digit first",
                ),
            );
            name
        });
    }
    let written = files.iter().rev().find_map(|file| {
        let documents = loader.documents(file, &Absence::OwnError)?;
        documents
            .iter()
            .rev()
            .find_map(|tree| tree.get("name").cloned())
    });
    match written {
        Some(node) => written_name(loader, &node, values),
        None => normalised(path::last(folder)),
    }
}

fn written_name(loader: &mut Loader<'_>, node: &Node, values: &Variables) -> ProjectName {
    let Value::Text(text) = &node.value else {
        return normalised("");
    };
    let text = expand(text, &|name| values.get(name).cloned(), &mut 1000).text;
    text.parse()
        .unwrap_or_else(|error: crate::project::NameError| {
            loader.report.add(
                Problem::error("name", node.span, error.to_string())
                    .hint(format!("write `name: {}`", normalised(&text))),
            );
            normalised(&text)
        })
}

/// As docker-compose 1.29 does it, and without `_` and `-` at the start, as the specification wants.
fn normalised(text: &str) -> ProjectName {
    let lower = text.to_lowercase();
    let kept: String = lower
        .chars()
        .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-'))
        .take(100)
        .collect();
    let name = kept.trim_start_matches(['_', '-']);
    let name = if name.is_empty() { "default" } else { name };
    name.parse()
        .expect("only letters, digits, `_` and `-` are left, and the first is no sign")
}

fn start(loader: &mut Loader<'_>, path: &str) -> Span {
    let file = match loader.text(path, &Absence::Fine, Content::Shown) {
        Some(text) => text.file,
        None => {
            let shown = loader.shown(path);
            loader.report.file_without_text(&shown)
        }
    };
    Span {
        file,
        line: 1,
        column: 1,
        length: 1,
    }
}
