//! From events of the YAML parser to trees.

use std::collections::HashMap;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span as RawSpan, Tag};

use crate::{Dialect, Entry, Map, Node, Problem, Report, Span, Tag as NodeTag, Value, plain};

/// Bytes of one file.
const MAX_SIZE: usize = 16 << 20;
/// Collections inside each other.
const MAX_DEPTH: usize = 100;
/// Nodes of one file with all aliases expanded.
const MAX_NODES: usize = 4_000_000;

/// What a file holds.
#[derive(Debug)]
pub struct Documents {
    /// Its documents in order; none when it is empty.
    pub documents: Vec<Node>,
    /// Some value is a `!reference`.
    pub has_references: bool,
    /// The keys at the top that are no texts without quotes, such as `1`, and what they are.
    pub odd_keys: Vec<(Span, &'static str)>,
}

/// The documents of a file. Nothing when it is no YAML: then the report says why. It has at most
/// 16 MiB, 100 levels, and 4 million values with all aliases expanded.
pub fn parse(file: u32, text: &str, dialect: Dialect, report: &mut Report) -> Option<Documents> {
    if text.len() > MAX_SIZE {
        let message = format!(
            "the file has {} bytes; at most {MAX_SIZE} are read",
            text.len()
        );
        report.add(Problem::error("too-large", file_start(file), message));
        return None;
    }
    let mut builder = Builder::new(file, dialect, report);
    match builder.read(text) {
        Ok(()) => Some(Documents {
            documents: builder.documents,
            has_references: builder.has_references,
            odd_keys: builder.odd_keys,
        }),
        Err(problem) => {
            report.add(problem);
            None
        }
    }
}

fn file_start(file: u32) -> Span {
    Span {
        file,
        line: 1,
        column: 1,
        length: 1,
    }
}

struct Builder<'r> {
    file: u32,
    dialect: Dialect,
    has_references: bool,
    odd_keys: Vec<(Span, &'static str)>,
    report: &'r mut Report,
    documents: Vec<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
}

/// A collection whose end has not come.
struct Open {
    span: Span,
    anchor: usize,
    reference: bool,
    tag: NodeTag,
    /// Nodes of the file before it, for its weight.
    nodes: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map(OpenMap),
}

#[derive(Default)]
struct OpenMap {
    entries: Vec<Entry>,
    index: HashMap<Arc<str>, Slot>,
    key: Option<Key>,
}

struct Key {
    text: Arc<str>,
    span: Span,
    merge: bool,
}

/// Where a key stands, and whether the file itself wrote it there.
#[derive(Clone, Copy)]
struct Slot {
    at: usize,
    written: bool,
}

impl<'r> Builder<'r> {
    fn new(file: u32, dialect: Dialect, report: &'r mut Report) -> Self {
        Self {
            file,
            dialect,
            has_references: false,
            odd_keys: Vec::new(),
            report,
            documents: Vec::new(),
            open: Vec::new(),
            anchors: HashMap::new(),
            nodes: 0,
        }
    }

    fn read(&mut self, text: &str) -> Result<(), Problem> {
        let mut parser = Parser::new_from_str(text.trim_start_matches('\u{feff}'));
        while let Some(next) = parser.next_event() {
            let (event, raw) = next.map_err(|error| self.syntax(&error, text))?;
            let span = self.span(&raw);
            match event {
                Event::Scalar(text, style, anchor, tag) => {
                    let typed = || scalar(&text, style, tag.as_deref(), self.dialect);
                    let value = match self.expects_key() && !text.is_empty() {
                        true => {
                            if self.open.len() == 1 {
                                self.note_odd_key(typed(), span);
                            }
                            Value::Text(text.as_ref().into())
                        }
                        false => typed(),
                    };
                    let tag = self.tag(tag.as_deref(), span);
                    self.finished(Node { value, span, tag }, anchor, 1)?;
                }
                Event::SequenceStart(anchor, tag) => {
                    let content = Content::List(Vec::new());
                    self.start(span, anchor, tag.as_deref(), content)?;
                }
                Event::MappingStart(anchor, tag) => {
                    let content = Content::Map(OpenMap::default());
                    self.start(span, anchor, tag.as_deref(), content)?;
                }
                Event::SequenceEnd | Event::MappingEnd => self.end()?,
                Event::Alias(anchor) => self.alias(anchor, span)?,
                Event::DocumentStart(_) => self.anchors.clear(),
                _ => {}
            }
        }
        Ok(())
    }

    fn start(
        &mut self,
        span: Span,
        anchor: usize,
        tag: Option<&Tag>,
        content: Content,
    ) -> Result<(), Problem> {
        if self.open.len() >= MAX_DEPTH {
            let message = format!("more than {MAX_DEPTH} levels of nesting");
            return Err(Problem::error("too-deep", span, message));
        }
        let node_tag = self.tag(tag, span);
        self.open.push(Open {
            span,
            anchor,
            reference: self.dialect == Dialect::Psych
                && tag.is_some_and(|tag| tag.handle == "!" && tag.suffix == "reference"),
            tag: node_tag,
            nodes: self.nodes,
            content,
        });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Problem> {
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        let value = match open.content {
            Content::List(items) if open.reference => {
                self.has_references = true;
                Value::Reference(Arc::new(items))
            }
            Content::List(items) => Value::List(Arc::new(items)),
            Content::Map(map) => Value::Map(Arc::new(Map {
                entries: map.entries,
            })),
        };
        let inner = self.nodes - open.nodes;
        self.nodes = open.nodes;
        let (span, tag) = (open.span, open.tag);
        self.finished(Node { value, span, tag }, open.anchor, inner + 1)
    }

    /// The tags of a compose file; another one would be lost, so it is an error there.
    fn tag(&mut self, tag: Option<&Tag>, span: Span) -> NodeTag {
        let Some(tag) = tag.filter(|tag| !tag.is_yaml_core_schema()) else {
            return NodeTag::None;
        };
        match (self.dialect, tag.handle.as_str(), tag.suffix.as_str()) {
            (Dialect::Psych, ..) => NodeTag::None,
            (_, "!", "reset") => NodeTag::Reset,
            (_, "!", "override") => NodeTag::Override,
            (_, handle, suffix) => {
                let message = format!("the tag `{handle}{suffix}` means nothing here");
                let problem = Problem::error("yaml-tag", span, message);
                self.report.add(problem.hint("compose files know `!reset` and `!override`; quote a text that starts with `!`"));
                NodeTag::None
            }
        }
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Problem> {
        let Some((node, weight)) = self.anchors.get(&anchor).cloned() else {
            let message = "an alias inside the value that it stands for";
            return Err(Problem::error("yaml", span, message)
                .hint("end the anchored value before you use its name"));
        };
        self.finished(node, 0, weight)
    }

    /// Keys are texts, whatever they look like: a variable may be called `ON`.
    fn expects_key(&self) -> bool {
        let content = self.open.last().map(|open| &open.content);
        matches!(content, Some(Content::Map(map)) if map.key.is_none())
    }

    fn note_odd_key(&mut self, value: Value, span: Span) {
        if !matches!(value, Value::Text(_)) {
            self.odd_keys.push((span, Node::new(value, span).kind()));
        }
    }

    /// A node is whole: it goes where it belongs.
    fn finished(&mut self, node: Node, anchor: usize, weight: usize) -> Result<(), Problem> {
        self.nodes += weight;
        if self.nodes > MAX_NODES {
            let message = format!("with its aliases expanded the file has over {MAX_NODES} values");
            return Err(Problem::error("too-large", node.span, message)
                .hint("aliases of aliases multiply: use fewer levels of them"));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), weight));
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.documents.push(node),
            Some(Content::List(items)) => items.push(node),
            Some(Content::Map(map)) => match map.key.take() {
                None => map.key = Some(key(&node)?),
                Some(key) if key.merge => map.merge(&key, &node, self.dialect, self.report),
                Some(key) => map.write(key, node, self.report),
            },
        }
        Ok(())
    }

    fn span(&self, raw: &RawSpan) -> Span {
        let (start, end) = (&raw.start, &raw.end);
        let length = if end.line() == start.line() {
            end.index().saturating_sub(start.index()).max(1)
        } else {
            1_000_000
        };
        Span {
            file: self.file,
            line: small(start.line()).max(1),
            column: small(start.col() + 1),
            length: small(length),
        }
    }

    fn syntax(&self, error: &ScanError, text: &str) -> Problem {
        let marker = error.marker();
        let span = Span {
            file: self.file,
            line: small(marker.line()).max(1),
            column: small(marker.col() + 1),
            length: 1,
        };
        let line = text
            .lines()
            .nth(marker.line().saturating_sub(1))
            .unwrap_or("");
        let message = format!("this is not valid YAML: {}", error.info());
        Problem::error("yaml", span, message).hint(syntax_hint(error.info(), line))
    }
}

fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn syntax_hint(info: &str, line: &str) -> &'static str {
    if line.trim_start_matches(' ').starts_with('\t') || info.contains("tab") {
        "indent with spaces: YAML allows no tabs there"
    } else if info.contains("mapping values are not allowed") {
        "a text with `: ` in it needs quotes around the whole of it; or the line is indented too far"
    } else if info.contains("quoted scalar") {
        "a quote that is opened here is never closed"
    } else if info.contains("anchor") || info.contains("alias") {
        "define the anchor with `&name` before you use `*name`; quote a text that starts with `*` or `&`"
    } else if line.trim_start().starts_with(['@', '`', '%']) {
        "quote a text that starts with `@`, `` ` `` or `%`"
    } else if info.contains("flow") || info.contains("']'") || info.contains("'}'") {
        "close the `[` or `{`, or quote the text that contains it"
    } else {
        "look at the indentation of this line and the one before, and for a missing `:` or quote"
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>, dialect: Dialect) -> Value {
    let core = tag.filter(|tag| tag.is_yaml_core_schema());
    match (core.map(|tag| tag.suffix.as_str()), style) {
        (Some("str"), _) => Value::Text(text.into()),
        (Some(_), _) | (None, ScalarStyle::Plain) => plain(text, dialect),
        _ => Value::Text(text.into()),
    }
}

fn key(node: &Node) -> Result<Key, Problem> {
    let text: Arc<str> = match &node.value {
        Value::Text(text) => Arc::clone(text),
        Value::Null => "".into(),
        Value::List(_) | Value::Map(_) | Value::Reference(_) => {
            let message = format!("a key must be a text, this is {}", node.kind());
            return Err(Problem::error("yaml", node.span, message)
                .hint("quote the key, or the text that starts with `[` or `{`"));
        }
        _ => node.scalar_text().unwrap_or_default(),
    };
    Ok(Key {
        merge: &*text == "<<",
        text,
        span: node.span,
    })
}

impl OpenMap {
    fn write(&mut self, key: Key, value: Node, report: &mut Report) {
        if let Some(slot) = self.index.get(&key.text)
            && slot.written
        {
            let first = self.entries[slot.at].span;
            let message = format!("`{}` is written twice here; the last one counts", key.text);
            report.add(
                Problem::warning("duplicate-key", key.span, message)
                    .note(first, "first written here")
                    .hint("remove one of them"),
            );
        }
        self.put(
            Entry {
                key: key.text,
                span: key.span,
                value,
            },
            true,
        );
    }

    /// As the dialect does it; of several mappings the first wins.
    fn merge(&mut self, key: &Key, value: &Node, dialect: Dialect, report: &mut Report) {
        let sources: Vec<&Node> = match &value.value {
            Value::List(items) => items.iter().rev().collect(),
            _ => vec![value],
        };
        for source in sources {
            let Some(map) = source.as_map() else {
                let message = format!("`<<` merges mappings, this is {}", source.kind());
                report.add(Problem::error("merge", source.span, message));
                continue;
            };
            for entry in &map.entries {
                if self.index.get(&entry.key).is_some_and(|slot| slot.written) {
                    if dialect == Dialect::Compose {
                        continue;
                    }
                    let message = format!(
                        "this `<<` replaces `{}`, which is written before it",
                        entry.key
                    );
                    report.add(
                        Problem::warning("merge-order", key.span, message)
                            .hint("write `<<` first: what comes after it wins"),
                    );
                }
                self.put(entry.clone(), false);
            }
        }
    }

    fn put(&mut self, entry: Entry, written: bool) {
        match self.index.get_mut(&entry.key) {
            Some(slot) => {
                slot.written = written;
                self.entries[slot.at] = entry;
            }
            None => {
                let at = self.entries.len();
                self.index
                    .insert(Arc::clone(&entry.key), Slot { at, written });
                self.entries.push(entry);
            }
        }
    }
}
