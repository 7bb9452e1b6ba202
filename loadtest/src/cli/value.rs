//! How values are written on the command line.

use std::num::NonZeroU32;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use wellspring_load::cut::{Cuts, Probability};
use wellspring_load::publisher::EventsPerSecond;

pub(super) fn amount(text: &str) -> Result<u64, String> {
    let (digits, factor) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1_000),
        None => text
            .strip_suffix(['m', 'M'])
            .map_or((text, 1), |digits| (digits, 1_000_000)),
    };
    let number = digits
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .filter(|&number| number > 0);
    number.ok_or_else(|| "expected a number above zero, like 50 or 10k".to_owned())
}

pub(super) fn rate(text: &str) -> Result<EventsPerSecond, String> {
    let rate = text
        .parse()
        .map_err(|_| "expected a number per second, like 200 or 0.5".to_owned())?;
    EventsPerSecond::new(rate).map_err(|error| error.to_string())
}

pub(super) fn factor(text: &str) -> Result<f64, String> {
    let factor = text.parse().ok().filter(|factor: &f64| factor.is_finite());
    factor
        .filter(|&factor| factor > 0.0)
        .ok_or_else(|| "expected a number above zero, like 2 or 1.5".to_owned())
}

pub(super) fn cuts(text: &str) -> Result<Cuts, String> {
    let expected = || {
        "expected a number of cuts per subscriber, like 5, or a share of events, like 0.5%"
            .to_owned()
    };
    match text.strip_suffix('%') {
        Some(percent) => {
            let percent: f64 = percent.trim().parse().map_err(|_| expected())?;
            Probability::new(percent / 100.0)
                .map(Cuts::Chance)
                .map_err(|_| expected())
        }
        None => {
            Ok(NonZeroU32::new(text.parse().map_err(|_| expected())?)
                .map_or(Cuts::None, Cuts::Times))
        }
    }
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let expected = || "expected a time above zero, like 30s, 500ms or 2m".to_owned();
    let unit =
        text.trim_start_matches(|character: char| character.is_ascii_digit() || character == '.');
    let number: f64 = text[..text.len() - unit.len()]
        .parse()
        .map_err(|_| expected())?;
    let seconds = match unit {
        "ms" => number / 1e3,
        "s" | "" => number,
        "m" => number * 60.0,
        "h" => number * 3_600.0,
        _ => return Err(expected()),
    };
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|duration| !duration.is_zero())
        .ok_or_else(expected)
}

pub(super) fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let field = || {
        let (name, value) = text.split_once(':')?;
        Some((
            name.trim().parse().ok()?,
            HeaderValue::from_str(value.trim()).ok()?,
        ))
    };
    field().ok_or_else(|| "expected a header field, like 'Authorization: Bearer abc'".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_are_a_count_or_a_share() {
        assert_eq!(cuts("5").unwrap(), Cuts::Times(NonZeroU32::new(5).unwrap()));
        assert_eq!(
            cuts("0.5%").unwrap(),
            Cuts::Chance(Probability::new(0.005).unwrap())
        );
        assert_eq!(cuts("0").unwrap(), Cuts::None);
    }

    #[test]
    fn a_factor_is_a_number_above_zero() {
        assert_eq!(factor("1.5"), Ok(1.5));
        for text in ["0", "-2", "inf", "NaN", "2x"] {
            assert!(factor(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_have_units() {
        let times =
            ["30s", "500ms", "2m", "1.5", "1h"].map(|text| duration(text).unwrap().as_millis());
        assert_eq!(times, [30_000, 500, 120_000, 1_500, 3_600_000]);
        for text in ["", "s", "0s", "-1s", "5d", "1e3s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn header_fields_have_a_name_and_a_value() {
        let (name, value) = header("X-Key:  a: b ").unwrap();
        assert_eq!((name.as_str(), value.to_str().unwrap()), ("x-key", "a: b"));
        for text in ["", "no colon", ": x", "a b: c", "a: b\nc"] {
            assert!(header(text).is_err(), "{text}");
        }
    }
}
