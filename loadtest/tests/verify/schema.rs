//! The JSON report is as `report.schema.json` says, key by key.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use wellspring_load::hostile::Hostiles;
use wellspring_load::publisher::{EventsPerSecond, Publication, Rate};
use wellspring_load::run::{Plan, Storm};

use crate::server::{Fault, Served, Transport};
use crate::{plan, report};

/// Follows a schema and a value side by side, and names the first place where they part.
fn compare(schema: &Value, value: &Value, root: &Value, path: &str) -> Result<(), String> {
    if let Some(name) = schema["$ref"].as_str() {
        let definition = name.strip_prefix("#/$defs/").unwrap();
        return compare(&root["$defs"][definition], value, root, path);
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        let fits = choices
            .iter()
            .any(|choice| compare(choice, value, root, path).is_ok());
        return if fits {
            Ok(())
        } else {
            Err(format!("{path}: {value} fits nothing"))
        };
    }
    if let Some(constant) = schema.get("const") {
        return if constant == value {
            Ok(())
        } else {
            Err(format!("{path}: {value} is not {constant}"))
        };
    }
    if let Some(values) = schema["enum"].as_array() {
        return if values.contains(value) {
            Ok(())
        } else {
            Err(format!("{path}: {value} is not among {values:?}"))
        };
    }
    let kinds: Vec<_> = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        kind => kind.as_str().into_iter().collect(),
    };
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_u64() && kinds.contains(&"integer") => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if !kinds.contains(&kind) {
        return Err(format!("{path}: {value} is a {kind}, not {kinds:?}"));
    }
    match value {
        Value::Array(items) => items
            .iter()
            .try_for_each(|item| compare(&schema["items"], item, root, &format!("{path}[]"))),
        Value::Object(fields) => {
            let Some(properties) = schema["properties"].as_object() else {
                return Ok(());
            };
            let (told, is): (BTreeSet<_>, BTreeSet<_>) =
                (properties.keys().collect(), fields.keys().collect());
            if told != is {
                return Err(format!(
                    "{path}: differs in {:?}",
                    told.symmetric_difference(&is)
                ));
            }
            fields.iter().try_for_each(|(name, value)| {
                compare(&properties[name], value, root, &format!("{path}.{name}"))
            })
        }
        _ => Ok(()),
    }
}

#[tokio::test]
async fn a_report_is_as_its_schema_says() {
    let served = Served::start(Transport::Http1, Fault::DropsEveryHundredth).await;
    let rate = Rate::PerSecond(EventsPerSecond::new(300.0).unwrap());
    let plan = Plan {
        storm: Some(Storm {
            after: Duration::from_millis(100),
            watched: Duration::from_secs(5),
        }),
        hostiles: Hostiles {
            slow: Some((1, 100.try_into().unwrap())),
            never: 1,
            half_open: 1,
        },
        publication: Publication {
            rate,
            ..Publication::to(served.target())
        },
        server: Some(wellspring_load::process::Process::own()),
        ..plan(&served, 3, 200)
    };
    let report = report(&plan).await;
    let schema: Value = serde_json::from_str(include_str!("../../report.schema.json")).unwrap();
    let json: Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!(
        (
            json["faulty"].as_array().unwrap().len(),
            json["recovery"]["cut"].as_u64()
        ),
        (3, Some(3)),
        "{json}"
    );
    compare(&schema, &json, &schema, "report").unwrap_or_else(|place| panic!("{place}\n{json:#}"));
}

#[test]
fn a_wrong_report_is_noticed() {
    let schema =
        serde_json::json!({"type": "object", "properties": {"a": {"type": ["number", "null"]}}});
    let check = |value: Value| compare(&schema, &value, &schema, "report");
    assert_eq!(check(serde_json::json!({"a": null})), Ok(()));
    assert_eq!(check(serde_json::json!({"a": 1})), Ok(()));
    assert!(check(serde_json::json!({"a": "1"})).is_err());
    assert!(check(serde_json::json!({"a": 1, "b": 2})).is_err());
    assert!(check(serde_json::json!({})).is_err());
}
