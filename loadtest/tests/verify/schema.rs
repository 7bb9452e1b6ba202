//! The JSON report is as `report.schema.json` says, key by key.

mod checker;

use std::time::Duration;

use serde_json::{Value, json};
use wellspring_load::hostile::Hostiles;
use wellspring_load::publisher::{EventsPerSecond, Publication, Rate};
use wellspring_load::run::{Plan, Storm};

use crate::server::{Fault, Served, Transport};
use crate::{plan, report};
use checker::Checker;

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
    let checker = Checker {
        schema: &schema,
        exact: true,
    };
    checker
        .check(&json, "report")
        .unwrap_or_else(|place| panic!("{place}\n{json:#}"));
}

#[test]
fn a_wrong_report_is_noticed() {
    let schema = json!({ "type": "object", "properties": { "a": { "type": ["number", "null"] } } });
    let checker = |exact| Checker {
        schema: &schema,
        exact,
    };
    let exact = |value: Value| checker(true).check(&value, "report");
    assert_eq!(exact(json!({ "a": null })), Ok(()));
    assert_eq!(exact(json!({ "a": 1 })), Ok(()));
    assert!(exact(json!({ "a": "1" })).is_err());
    assert!(exact(json!({ "a": 1, "b": 2 })).is_err());
    assert!(exact(json!({})).is_err());
    let loose = |value: Value| checker(false).check(&value, "report");
    assert_eq!(loose(json!({ "b": 2 })), Ok(()), "as JSON Schema has it");
    assert!(loose(json!({ "a": "1", "b": 2 })).is_err());
}
