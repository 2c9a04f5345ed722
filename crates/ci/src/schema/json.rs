//! The language as a JSON schema (draft-07) for editors.

use serde_json::{Value, json};

use super::{GLOBAL, JOB, Map, Shape, Text};

/// A JSON schema of the language, made of the description that files are checked with.
pub fn json_schema() -> Value {
    let mut schema = keys(&GLOBAL);
    schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    schema["title"] = json!(".gitlab-ci.yml");
    schema["patternProperties"] = json!({ "^[.]": {} });
    schema["additionalProperties"] = json!({ "$ref": "#/definitions/job" });
    schema["definitions"] = json!({ "job": map(&JOB) });
    schema
}

fn map(map: &Map) -> Value {
    let mut schema = keys(map);
    schema["additionalProperties"] = json!(map.lenient);
    let groups: Vec<_> = map
        .required
        .iter()
        .map(|group| {
            let one: Vec<_> = group
                .iter()
                .map(|name| json!({ "required": [name] }))
                .collect();
            json!({ "anyOf": one })
        })
        .collect();
    if !groups.is_empty() {
        schema["allOf"] = json!(groups);
    }
    schema
}

fn keys(map: &Map) -> Value {
    let mut properties = serde_json::Map::new();
    for key in map.keys {
        let mut schema = shape(&key.shape);
        if !key.about.is_empty()
            && let Some(object) = schema.as_object_mut()
        {
            object.insert("description".to_owned(), json!(key.about));
        }
        properties.insert(key.name.to_owned(), schema);
    }
    json!({ "type": "object", "properties": properties })
}

fn shape(value: &Shape) -> Value {
    match value {
        Shape::Any => json!({}),
        Shape::Null => json!({ "type": "null" }),
        Shape::Bool => json!({ "type": "boolean" }),
        Shape::Integer(min, i64::MAX) => json!({ "type": "integer", "minimum": min }),
        Shape::Integer(min, max) => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Shape::Text(rule) => text(*rule),
        Shape::Word(words) => json!({ "enum": words }),
        Shape::List(list) => {
            let mut schema =
                json!({ "type": "array", "items": nested(shape(&list.item), list.nested) });
            if list.min > 0 {
                schema["minItems"] = json!(list.min);
            }
            if list.max < usize::MAX {
                schema["maxItems"] = json!(list.max);
            }
            if list.unique {
                schema["uniqueItems"] = json!(true);
            }
            schema
        }
        Shape::Script { may_be_empty } => {
            let least = usize::from(!may_be_empty);
            json!({ "anyOf": [
                { "type": "string", "minLength": least },
                { "type": "array", "items": nested(json!({ "type": "string" }), 10), "minItems": least },
            ] })
        }
        Shape::Map(inner) => map(inner),
        Shape::Dict(inner) => json!({ "type": "object", "additionalProperties": shape(inner) }),
        Shape::Either(shapes) => {
            let all: Vec<_> = shapes.iter().map(shape).collect();
            json!({ "anyOf": all })
        }
        Shape::Same(inner) => shape(inner),
    }
}

/// Lists in lists: any depth, as JSON schema cannot count.
fn nested(item: Value, levels: usize) -> Value {
    match levels {
        0 => item,
        _ => json!({ "anyOf": [item, { "type": "array" }] }),
    }
}

fn text(rule: Text) -> Value {
    match rule {
        Text::Scalar | Text::CacheKey => json!({ "type": ["string", "number", "boolean"] }),
        Text::Duration => json!({ "type": ["string", "integer"] }),
        Text::NotEmpty => json!({ "type": "string", "minLength": 1 }),
        Text::AtMost(max) => json!({ "type": "string", "maxLength": max }),
        Text::ProjectPath => json!({ "type": "string", "pattern": "(^[^/]+(/[^/]+)+$)|[$]" }),
        Text::Variable => json!({ "type": "string", "pattern": "^[$]" }),
        Text::Pattern => json!({ "type": "string", "pattern": "^/.*/$" }),
        Text::Any | Text::Expression => json!({ "type": "string" }),
    }
}
