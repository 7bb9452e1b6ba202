//! As much of JSON Schema (2020-12) as our schemas use. The server's tests include this file, too.

use serde_json::Value;

/// Follows a schema and a value side by side.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Checker<'s> {
    pub(crate) schema: &'s Value,
    /// Whether a value must have every property that is described, and none that is not, whatever the
    /// schema says of them: what is written is described, and what is described is written.
    pub(crate) exact: bool,
}

impl Checker<'_> {
    /// # Errors
    ///
    /// The first place where the two part.
    pub(crate) fn check(&self, value: &Value, name: &str) -> Result<(), String> {
        self.compare(self.schema, value, name)
    }

    fn compare(&self, schema: &Value, value: &Value, path: &str) -> Result<(), String> {
        if let Some(name) = schema["$ref"].as_str() {
            let definition = name.strip_prefix("#/$defs/").unwrap();
            return self.compare(&self.schema["$defs"][definition], value, path);
        }
        if let Some(choices) = schema["anyOf"].as_array() {
            let mut choices = choices.iter();
            let fits = choices.any(|choice| self.compare(choice, value, path).is_ok());
            return fits
                .then_some(())
                .ok_or_else(|| format!("{path}: {value} fits nothing"));
        }
        if let Some(constant) = schema.get("const") {
            return (constant == value)
                .then_some(())
                .ok_or_else(|| format!("{path}: {value} is not {constant}"));
        }
        if let Some(values) = schema["enum"].as_array() {
            return values
                .contains(value)
                .then_some(())
                .ok_or_else(|| format!("{path}: {value} is not among {values:?}"));
        }
        self.compare_type(schema, value, path)?;
        match value {
            Value::Array(items) => items
                .iter()
                .try_for_each(|item| self.compare(&schema["items"], item, &format!("{path}[]"))),
            Value::Object(fields) if schema["properties"].is_object() => {
                self.compare_names(schema, value, path)?;
                fields
                    .iter()
                    .try_for_each(|(name, value)| match schema["properties"].get(name) {
                        Some(schema) => self.compare(schema, value, &format!("{path}.{name}")),
                        None => Ok(()),
                    })
            }
            _ => Ok(()),
        }
    }

    fn compare_type(&self, schema: &Value, value: &Value, path: &str) -> Result<(), String> {
        let types: Vec<_> = match &schema["type"] {
            Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
            name => name.as_str().into_iter().collect(),
        };
        let name = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_u64() && types.contains(&"integer") => "integer",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        types
            .contains(&name)
            .then_some(())
            .ok_or_else(|| format!("{path}: {value} is a {name}, not {types:?}"))
    }

    fn compare_names(&self, schema: &Value, value: &Value, path: &str) -> Result<(), String> {
        let fields = value.as_object().unwrap();
        let described = schema["properties"].as_object().unwrap();
        let open = !self.exact && schema["additionalProperties"] != Value::Bool(false);
        if let Some(name) = fields.keys().find(|name| !described.contains_key(*name))
            && !open
        {
            return Err(format!("{path}: {name} is not described"));
        }
        let required = schema["required"].as_array().into_iter().flatten();
        let mut required: Vec<&str> = required.filter_map(Value::as_str).collect();
        if self.exact {
            required.extend(described.keys().map(String::as_str));
        }
        required
            .into_iter()
            .find(|name| !fields.contains_key(*name))
            .map_or(Ok(()), |name| Err(format!("{path}: {name} is missing")))
    }
}
