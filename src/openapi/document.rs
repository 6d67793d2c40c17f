//! The document as its readers want it: operation by operation, references followed.

use serde_json::{Map, Value};

/// More than any chain of references has; one that leads back to itself ends here.
const LONGEST_CHAIN: usize = 16;

/// An OpenAPI 3.1 document.
#[derive(Debug, Clone, Copy)]
pub(super) struct Document<'a>(&'a Value);

/// One path and method.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operation<'a> {
    pub(super) path: &'a str,
    /// In capitals.
    pub(super) method: &'static str,
    document: Document<'a>,
    value: &'a Value,
}

/// One of an operation's parameters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parameter<'a> {
    pub(super) name: &'a str,
    pub(super) place: &'a str,
    pub(super) required: bool,
    pub(super) description: &'a str,
    pub(super) example: &'a Value,
    pub(super) schema: Schema<'a>,
}

/// A JSON Schema (2020-12) within the document.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schema<'a> {
    document: Document<'a>,
    value: &'a Value,
}

/// How an operation wants to be told who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Credential {
    /// Not at all, or by a cookie.
    None,
    Bearer,
    /// A service client's id and secret.
    Basic,
}

const METHODS: [(&str, &str); 7] = [
    ("get", "GET"),
    ("head", "HEAD"),
    ("post", "POST"),
    ("put", "PUT"),
    ("patch", "PATCH"),
    ("delete", "DELETE"),
    ("options", "OPTIONS"),
];

impl<'a> Document<'a> {
    pub(super) fn new(value: &'a Value) -> Self {
        Self(value)
    }

    /// Name and description of each tag, in the document's order.
    pub(super) fn tags(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        items(&self.0["tags"]).map(|tag| (text(&tag["name"]), text(&tag["description"])))
    }

    pub(super) fn operations(self) -> impl Iterator<Item = Operation<'a>> {
        members(&self.0["paths"]).flat_map(move |(path, methods)| {
            METHODS.into_iter().filter_map(move |(name, method)| {
                methods.get(name).map(|value| Operation { path, method, document: self, value })
            })
        })
    }

    fn resolve(self, mut part: &'a Value) -> &'a Value {
        for _ in 0..LONGEST_CHAIN {
            let target = part["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
            match target.and_then(|pointer| self.0.pointer(pointer)) {
                Some(found) => part = found,
                None => break,
            }
        }
        part
    }
}

impl<'a> Operation<'a> {
    pub(super) fn id(&self) -> &'a str {
        text(&self.value["operationId"])
    }

    pub(super) fn summary(&self) -> &'a str {
        text(&self.value["summary"])
    }

    pub(super) fn description(&self) -> &'a str {
        text(&self.value["description"])
    }

    /// The tag it is filed under.
    pub(super) fn tag(&self) -> &'a str {
        text(&self.value["tags"][0])
    }

    pub(super) fn parameters(&self) -> impl Iterator<Item = Parameter<'a>> {
        let document = self.document;
        items(&self.value["parameters"]).map(move |parameter| {
            let parameter = document.resolve(parameter);
            Parameter {
                name: text(&parameter["name"]),
                place: text(&parameter["in"]),
                required: parameter["required"] == true,
                description: text(&parameter["description"]),
                example: &parameter["example"],
                schema: Schema::new(document, &parameter["schema"]),
            }
        })
    }

    /// The media types of its body, and what each holds.
    pub(super) fn bodies(&self) -> impl Iterator<Item = (&'a str, Schema<'a>)> {
        let document = self.document;
        let body = document.resolve(&self.value["requestBody"]);
        members(&body["content"]).map(move |(kind, body)| (kind, Schema::new(document, &body["schema"])))
    }

    /// Status, and the media types of the answer with what each holds.
    pub(super) fn responses(&self) -> impl Iterator<Item = (&'a str, Vec<(&'a str, Schema<'a>)>)> {
        let document = self.document;
        members(&self.value["responses"]).map(move |(status, response)| {
            let contents = members(&document.resolve(response)["content"]);
            let read =
                |(kind, content): (&'a str, &'a Value)| (kind, Schema::new(document, &content["schema"]));
            (status, contents.map(read).collect())
        })
    }

    /// The first way that the document names, unless it may be left out.
    pub(super) fn credential(&self) -> Credential {
        let document = self.document;
        let asked = self.value.get("security").unwrap_or(&document.0["security"]);
        let ways: Vec<_> = items(asked).filter_map(Value::as_object).collect();
        if ways.iter().any(|way| way.is_empty()) {
            return Credential::None;
        }
        let Some(name) = ways.first().and_then(|way| way.keys().next()) else {
            return Credential::None;
        };
        let scheme = document.resolve(&document.0["components"]["securitySchemes"][name]);
        match (text(&scheme["type"]), text(&scheme["scheme"]).to_ascii_lowercase().as_str()) {
            ("http", "bearer") => Credential::Bearer,
            ("http", "basic") => Credential::Basic,
            _ => Credential::None,
        }
    }
}

impl<'a> Schema<'a> {
    fn new(document: Document<'a>, value: &'a Value) -> Self {
        Self { document, value: document.resolve(value) }
    }

    /// A keyword's value, null when it is not there.
    pub(super) fn get(&self, keyword: &str) -> &'a Value {
        &self.value[keyword]
    }

    /// The schemas that this one is put together of, by `allOf`, `oneOf` or `anyOf`; without that of null.
    pub(super) fn parts(&self, keyword: &str) -> impl Iterator<Item = Schema<'a>> {
        let document = self.document;
        items(&self.value[keyword])
            .map(move |part| Self::new(document, part))
            .filter(|part| part.value["type"] != "null")
    }

    /// An array's items.
    pub(super) fn items(&self) -> Self {
        Self::new(self.document, &self.value["items"])
    }

    /// Its members, those of all its variants too: name, schema, and whether every variant wants it.
    pub(super) fn members(&self) -> Vec<(&'a str, Schema<'a>, bool)> {
        let document = self.document;
        let required = |name: &str| items(&self.value["required"]).any(|wanted| wanted == name);
        let mut found: Vec<_> = members(&self.value["properties"])
            .map(|(name, schema)| (name, Self::new(document, schema), required(name)))
            .collect();
        for part in self.parts("allOf") {
            join(&mut found, part.members(), |_| true);
        }
        for keyword in ["oneOf", "anyOf"] {
            let variants: Vec<_> = self.parts(keyword).map(|variant| variant.members()).collect();
            let everywhere = |name: &str| {
                variants
                    .iter()
                    .all(|variant| variant.iter().any(|(known, _, wanted)| *known == name && *wanted))
            };
            for variant in variants.iter().cloned() {
                join(&mut found, variant, everywhere);
            }
        }
        found
    }
}

/// Adds the members that are not there yet.
fn join<'a>(
    found: &mut Vec<(&'a str, Schema<'a>, bool)>,
    more: Vec<(&'a str, Schema<'a>, bool)>,
    may_be_required: impl Fn(&str) -> bool,
) {
    for (name, schema, required) in more {
        if !found.iter().any(|(known, ..)| *known == name) {
            found.push((name, schema, required && may_be_required(name)));
        }
    }
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter).map(|(name, value)| (name.as_str(), value))
}
