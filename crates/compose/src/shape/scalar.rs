//! Texts, numbers, words and values with a form of their own.

use yaml::{Node, Problem, Value};

use super::{Shaper, choice, is_url, shortened, with};
use crate::project::Published;
use crate::schema::{Form, Shape};
use crate::value::{self, scalar_text};

impl Shaper<'_> {
    pub(super) fn text(&mut self, node: &Node) -> Option<Node> {
        if node.as_str().is_some() {
            return Some(node.clone());
        }
        let quoted = scalar_text(node).map(|text| format!("put it into quotes: `\"{text}\"`"));
        self.mismatch(node, "a text", quoted);
        None
    }

    pub(super) fn scalar(&mut self, node: &Node) -> Option<Node> {
        match node.value {
            Value::List(_) | Value::Map(_) | Value::Reference(_) => {
                self.mismatch(node, "a text or a number", None);
                None
            }
            _ => Some(node.clone()),
        }
    }

    pub(super) fn bool(&mut self, node: &Node) -> Option<Node> {
        match &node.value {
            Value::Bool(_) => Some(node.clone()),
            Value::Text(text) => {
                let truth = self.read(node, value::boolean(text))?;
                Some(with(node, Value::Bool(truth)))
            }
            _ => {
                self.mismatch(node, "`true` or `false`", None);
                None
            }
        }
    }

    pub(super) fn int(&mut self, node: &Node, least: i64, most: i64) -> Option<Node> {
        let number = match &node.value {
            Value::Int(number, _) => *number,
            Value::Float(number, _) if number.fract() == 0.0 && number.abs() < 1e15 => {
                *number as i64
            }
            Value::Text(text) => self.read(node, value::integer(text))?,
            _ => {
                self.mismatch(node, "a whole number", None);
                return None;
            }
        };
        if number < least || number > most {
            let message = format!("`{}` is {number}, which is out of bounds", self.name());
            let hint = match most {
                i64::MAX => format!("the least is {least}"),
                _ => format!("write a number from {least} to {most}"),
            };
            self.report
                .add(Problem::error("value", node.span, message).hint(hint));
            return None;
        }
        Some(with(node, Value::Int(number, None)))
    }

    pub(super) fn float(&mut self, node: &Node) -> Option<Node> {
        let number = match &node.value {
            Value::Int(..) => return Some(node.clone()),
            Value::Float(number, _) if number.is_finite() => *number,
            Value::Text(text) => self.read(node, value::number(text))?,
            _ => {
                self.mismatch(node, "a number", None);
                return None;
            }
        };
        Some(with(node, Value::Float(number, None)))
    }

    pub(super) fn form(&mut self, node: &Node, form: Form) -> Option<Node> {
        let text = scalar_text(&self.scalar(node)?)?;
        let is_number = matches!(node.value, Value::Int(..) | Value::Float(..));
        let fits = match form {
            Form::Duration => value::duration(&text).map(|_| ()),
            Form::Bytes => value::bytes(&text).map(|_| ()),
            Form::ByteCount => {
                let number = self.read(node, value::bytes(&text))?;
                return Some(with(node, Value::Int(number, None)));
            }
            Form::Integer => value::integer(&text).map(|_| ()),
            Form::Number => value::number(&text).map(|_| ()),
            Form::Micros => {
                let number = self.read(node, value::microseconds(&text))?;
                return Some(with(node, Value::Int(number, None)));
            }
            Form::Restart => value::restart(&text).map(|_| ()),
            Form::Expose => value::expose(&text).map(|_| ()),
            Form::Published => {
                let published = self.read(node, value::published(&text))?;
                return Some(with(
                    node,
                    match published {
                        Published::Port(port) => Value::Int(port.into(), None),
                        _ => Value::Text(text.into()),
                    },
                ));
            }
            Form::Protocol => value::protocol(&text).map(|_| ()),
        };
        self.read(node, fits)?;
        match form {
            Form::Restart | Form::Protocol | Form::Duration if is_number => self.text(node),
            Form::Restart if node.as_bool().is_some() => Some(with(node, Value::Text("no".into()))),
            _ => Some(node.clone()),
        }
    }

    pub(super) fn word(&mut self, node: &Node, words: &[&str]) -> Option<Node> {
        let node = self.text(node)?;
        let text = node.as_str()?;
        if words.contains(&text) {
            return Some(node);
        }
        let message = format!("`{}` cannot be `{}`", self.name(), shortened(text));
        let hint = match self.report.nearest(text, words.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("write {}", choice(words)),
        };
        self.report
            .add(Problem::error("value", node.span, message).hint(hint));
        None
    }

    pub(super) fn path_or_url(&mut self, node: &Node) -> Option<Node> {
        let node = self.text(node)?;
        let text = node.as_str()?;
        if is_url(text) {
            return Some(node);
        }
        let path = self.base.absolute(text);
        Some(with(&node, Value::Text(path.into())))
    }

    pub(super) fn command(&mut self, node: &Node) -> Option<Node> {
        match &node.value {
            Value::Text(text) => {
                self.read(node, value::words(text))?;
                Some(node.clone())
            }
            Value::List(items) => Some(self.items(node, items, &Shape::Text)),
            Value::Map(_) | Value::Reference(_) => {
                self.mismatch(node, "a text or a list of texts", None);
                None
            }
            _ => self.text(node),
        }
    }
}
