//! The comparison as a whole, on the servers that are always there.

use std::process::Command;

use serde_json::Value;

#[test]
fn servers_are_driven_over_both_protocols_and_accounted_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("figures.json");
    let output = Command::new(env!("CARGO_BIN_EXE_compare"))
        .args([
            "--no-build",
            "--quick",
            "--server",
            "floor",
            "--server",
            "axum",
        ])
        .args(["--case", "h1-burst100", "--case", "h2tls-50x100x20-300"])
        .arg("--json")
        .arg(&file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && !said.contains("FAILED"),
        "{said}"
    );
    let table = String::from_utf8_lossy(&output.stdout);
    let figures: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    for (index, case) in ["h1-burst100", "h2tls-50x100x20-300"].iter().enumerate() {
        assert!(table.contains(case), "{table}");
        let case = &figures["cases"][index];
        for server in ["floor", "axum"] {
            for measure in ["cpu", "p50", "p99"] {
                let figure = case["servers"][server]["median"][measure].as_f64();
                assert!(figure > Some(0.0), "{server}: {case}");
            }
        }
        // Ours was not asked for: no verdict is made up.
        assert_eq!(case["targets"][0]["verdict"], "unknown");
    }
}

#[test]
fn a_case_that_is_not_there_is_named() {
    let output = Command::new(env!("CARGO_BIN_EXE_compare"))
        .args(["--list", "--case", "h3"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("h3"));
}
