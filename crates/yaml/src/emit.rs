//! A tree as YAML text that reads back as the same tree.

use std::fmt::Write as _;

use crate::{Dialect, Entry, Map, Node, Value, plain};

/// A key longer than 1024 characters must be marked as one (YAML 1.2, "Implicit keys").
const MAX_KEY: usize = 1000;

/// A mapping as a document.
pub fn emit(map: &Map) -> String {
    let mut out = String::new();
    for (at, entry) in map.entries.iter().enumerate() {
        if at > 0 && entry.value.as_map().is_some() {
            out.push('\n');
        }
        // A name at the top is a text whatever it looks like.
        let key = text_scalar(&entry.key);
        pair(&key, &entry.value, 0, 0, &mut out);
    }
    if out.is_empty() {
        out.push_str("{}\n");
    }
    out
}

/// A key, as it is to be written, with its value, which belongs to a mapping at `indent`; `lead` of it is
/// still to be written.
fn pair(key: &str, value: &Node, lead: usize, indent: usize, out: &mut String) {
    out.push_str(&" ".repeat(lead));
    if key.len() > MAX_KEY {
        let _ = write!(out, "? {key}\n{}", " ".repeat(indent));
    } else {
        out.push_str(key);
    }
    out.push(':');
    after(value, indent, out);
}

/// What follows a `:` or `-`, to the end of its lines.
fn after(node: &Node, indent: usize, out: &mut String) {
    match &node.value {
        Value::Map(map) if !map.entries.is_empty() => {
            out.push('\n');
            pairs(&map.entries, indent + 2, out);
        }
        Value::List(items) if !items.is_empty() => {
            out.push('\n');
            for item in items.iter() {
                out.push_str(&" ".repeat(indent + 2));
                out.push('-');
                item_after(item, indent + 2, out);
            }
        }
        Value::Text(text) if is_block(text) => block(text, indent + 2, out),
        _ => {
            out.push(' ');
            out.push_str(&scalar(node));
            out.push('\n');
        }
    }
}

/// What follows a `-`: a mapping starts on the same line.
fn item_after(node: &Node, indent: usize, out: &mut String) {
    let Some((first, rest)) = node.as_map().and_then(|map| map.entries.split_first()) else {
        return after(node, indent, out);
    };
    out.push(' ');
    pair(&key_text(&first.key), &first.value, 0, indent + 2, out);
    pairs(rest, indent + 2, out);
}

/// Entries of a mapping, each on lines of its own.
fn pairs(entries: &[Entry], indent: usize, out: &mut String) {
    for entry in entries {
        pair(&key_text(&entry.key), &entry.value, indent, indent, out);
    }
}

fn scalar(node: &Node) -> String {
    match &node.value {
        Value::Null => "null".to_owned(),
        Value::Map(_) => "{}".to_owned(),
        Value::List(_) => "[]".to_owned(),
        Value::Text(text) => text_scalar(text),
        Value::Float(number, _) if number.is_nan() => ".nan".to_owned(),
        Value::Float(number, _) if number.is_infinite() => {
            if *number > 0.0 { ".inf" } else { "-.inf" }.to_owned()
        }
        Value::Float(number, _) => {
            let text = format!("{number:?}");
            match text.contains('.') {
                true => text.replace('e', "e+").replace("e+-", "e-"),
                false => text.replacen('e', ".0e+", 1).replace("e+-", "e-"),
            }
        }
        Value::Int(number, _) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::Reference(items) => {
            let items: Vec<_> = items.iter().map(scalar).collect();
            format!("!reference [{}]", items.join(", "))
        }
    }
}

fn key_text(key: &str) -> String {
    match is_plain(key) {
        true => key.to_owned(),
        false => quoted(key),
    }
}

fn text_scalar(text: &str) -> String {
    match is_plain(text) && matches!(plain(text, Dialect::Psych), Value::Text(_)) {
        true => text.to_owned(),
        false => quoted(text),
    }
}

/// Only what is surely read as the same text.
fn is_plain(text: &str) -> bool {
    let safe = |c: char| c.is_ascii_alphanumeric() || "_-./$ =+(){}~@%^:".contains(c);
    text.len() < 1000
        && text
            .starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '/' | '$'))
        && !text.ends_with(' ')
        && !text.starts_with("...")
        && text.chars().all(safe)
        && !text.contains(": ")
        && !text.ends_with(':')
        && text != "<<"
}

/// JSON's quoting is YAML's, but for characters that YAML does not print. A `$[[` that the text does not
/// close is escaped: whoever looks for blocks of GitLab's inputs before parsing would find its end in
/// what follows.
fn quoted(text: &str) -> String {
    let last = text.rfind("]]");
    let opens = |at: usize| text[at..].starts_with("$[[") && last.is_none_or(|last| last < at);
    let mut out = String::from("\"");
    for (at, c) in text.char_indices() {
        match c {
            '$' if opens(at) => out.push_str("\\x24"),
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            ' '..='~' => out.push(c),
            c if c.is_alphanumeric() => out.push(c),
            c => {
                let _ = write!(out, "\\U{:08x}", u32::from(c));
            }
        }
    }
    out.push('"');
    out
}

/// Several lines that a block shows as they are.
fn is_block(text: &str) -> bool {
    let body = text.strip_suffix('\n').unwrap_or(text);
    let line = |line: &str| {
        !line.ends_with(' ')
            && line
                .chars()
                .all(|c| matches!(c, ' '..='~') || c.is_alphanumeric())
    };
    body.contains('\n')
        && !body.starts_with([' ', '\n'])
        && !body.ends_with('\n')
        && body.split('\n').all(line)
}

fn block(text: &str, indent: usize, out: &mut String) {
    let (body, mark) = match text.strip_suffix('\n') {
        Some(body) => (body, " |\n"),
        None => (text, " |-\n"),
    };
    out.push_str(mark);
    for line in body.split('\n') {
        if !line.is_empty() {
            out.push_str(&" ".repeat(indent));
            out.push_str(line);
        }
        out.push('\n');
    }
}
