use super::*;
use crate::case::CASES;

/// The first case, of which ours and the floor's CPU are these.
fn report(ours: &[f64], floor: f64) -> Report {
    let machine = Machine {
        processor: "A <fast> one".to_owned(),
        cores: 2,
        kernel: "6".to_owned(),
        date: "2026-01-01".to_owned(),
    };
    let mut report = Report::new(machine, "compare".to_owned());
    for &value in ours {
        report.add(
            &CASES[0],
            Peer::Wellspring,
            Figures::from([(Measure::Cpu, value)]),
        );
    }
    report.add(
        &CASES[0],
        Peer::Floor,
        Figures::from([(Measure::Cpu, floor)]),
    );
    report.skip("nchan: no nginx here".to_owned());
    report
}

#[test]
fn a_row_has_medians_and_a_verdict_of_each_target() {
    let good = report(&[9.0, 1.0, 5.0], 5.0);
    assert_eq!(
        good.rows[0].median(Peer::Wellspring, Measure::Cpu),
        Some(5.0)
    );
    assert_eq!(good.rows[0].verdict(&CASES[0].targets[0]), Verdict::Met);
    assert_eq!(good.rows[0].verdict(&CASES[0].targets[1]), Verdict::Unknown);
    assert!(good.is_good());
    assert!(!report(&[5.0, 6.0], 4.0).is_good(), "5.5 is above 1.10 x 4");
}

#[test]
fn text_says_figures_ratios_verdicts_and_what_was_skipped() {
    let text = report(&[6.0], 5.0).to_string();
    for part in [
        "h1-1000x50",
        "6.00",
        "5.00",
        "1.20",
        "MISSED",
        "no nginx here",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn json_holds_every_run() {
    let json: serde_json::Value =
        serde_json::from_str(&report(&[6.0, 7.0], 5.0).to_json()).unwrap();
    let server = &json["cases"][0]["servers"]["wellspring"];
    assert_eq!(server["median"]["cpu"], 6.5);
    assert_eq!(server["runs"].as_array().unwrap().len(), 2);
    assert_eq!(json["cases"][0]["targets"][0]["verdict"], "missed");
}

#[test]
fn the_plot_is_an_image_with_every_server_and_no_stray_markup() {
    let plot = report(&[6.0], 5.0).to_svg();
    assert!(plot.starts_with("<svg ") && plot.trim_end().ends_with("</svg>"));
    for part in ["wellspring", "floor", "A &lt;fast&gt; one"] {
        assert!(plot.contains(part), "{part} is not in\n{plot}");
    }
}
