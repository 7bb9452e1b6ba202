//! The body of a request that publishes one event at a server that is not the program.

use std::str::FromStr;

use thiserror::Error;

/// Where an event's data goes.
const PLACE: &str = "{data}";

/// A body with a place for an event's data: one line of ASCII that needs no escape in JSON or in a URL-encoded form
/// but for its spaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    before: String,
    after: String,
}

/// A text has no place for the data.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("'{0}' has no place for the event: write {{data}} where its data goes")]
pub struct NotATemplate(String);

impl Template {
    /// What the body most likely is; a `Content-Type` among the headers has the last word.
    #[must_use]
    pub fn content_type(&self) -> &'static str {
        match self.before.trim_start().as_bytes() {
            [b'{' | b'[', ..] => "application/json",
            [] => "text/plain",
            _ if self.before.ends_with('=') => "application/x-www-form-urlencoded",
            _ => "text/plain",
        }
    }

    /// The body, with what `write` appends in its place.
    pub(crate) fn fill(&self, write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut body = self.before.clone().into_bytes();
        write(&mut body);
        body.extend_from_slice(self.after.as_bytes());
        body
    }
}

/// What the program takes: `{"data": ...}`.
impl Default for Template {
    fn default() -> Self {
        Self {
            before: "{\"data\":\"".to_owned(),
            after: "\"}\n".to_owned(),
        }
    }
}

impl FromStr for Template {
    type Err = NotATemplate;

    fn from_str(text: &str) -> Result<Self, NotATemplate> {
        let (before, after) = text
            .split_once(PLACE)
            .ok_or_else(|| NotATemplate(text.to_owned()))?;
        Ok(Self {
            before: before.to_owned(),
            after: after.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> (String, &'static str) {
        let template: Template = text.parse().unwrap();
        let body = template.fill(|out| out.extend_from_slice(b"7 1 "));
        (String::from_utf8(body).unwrap(), template.content_type())
    }

    #[test]
    fn data_goes_to_its_place() {
        assert_eq!(
            filled(r#"{"text": "{data}"}"#),
            (r#"{"text": "7 1 "}"#.to_owned(), "application/json")
        );
        assert_eq!(filled("{data}"), ("7 1 ".to_owned(), "text/plain"));
        let form = filled("topic=t&data={data}");
        assert_eq!(
            form,
            (
                "topic=t&data=7 1 ".to_owned(),
                "application/x-www-form-urlencoded"
            )
        );
    }

    #[test]
    fn without_a_place_it_is_no_template() {
        let error = "hello".parse::<Template>().unwrap_err().to_string();
        assert!(error.contains("{data}"), "{error}");
    }
}
