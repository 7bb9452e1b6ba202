//! The `Date` field (RFC 9110, section 6.6.1), which every response carries.

use std::{
    cell::RefCell,
    time::{Duration, SystemTime},
};

use http::HeaderValue;

thread_local! {
    /// The second the core has last spelled, and its spelling.
    static LAST: RefCell<Option<(u64, HeaderValue)>> = const { RefCell::new(None) };
}

/// The current time. Spelled once per second and core.
pub(crate) fn now() -> HeaderValue {
    let second = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    LAST.with_borrow_mut(|last| match last {
        Some((spelled, date)) if *spelled == second => date.clone(),
        _ => last.insert((second, spell(second))).1.clone(),
    })
}

fn spell(second: u64) -> HeaderValue {
    let date = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(second));
    HeaderValue::try_from(date).expect("a date is letters, digits, spaces, a comma and colons")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spells_the_standards_own_example() {
        assert_eq!(spell(784_887_151), "Tue, 15 Nov 1994 08:12:31 GMT");
    }

    #[test]
    fn tells_the_time() {
        let told = httpdate::parse_http_date(now().to_str().unwrap()).unwrap();
        assert!(told.elapsed().unwrap() < Duration::from_secs(60));
    }
}
