//! The tokens of one answer: when they came and, where a [`model`](crate::model) has stamped them, how long they were under
//! way, and whether none is missing.

use std::time::Duration;

use tokio::time::Instant;

use super::Findings;
use crate::stamp::{Clock, RunId, Stamp};

/// The tokens of an answer while it is read.
pub(super) struct Tokens {
    /// When the answer was due to be asked for.
    due: Instant,
    first: Option<Instant>,
    last: Option<Instant>,
    /// Whose stamp comes next: the answer's own id, and the place in it.
    next: Option<(RunId, u64)>,
}

/// What turns a stamp into a latency: the clock of the machine, for a model runs in another process.
#[derive(Clone, Copy, Debug)]
pub(super) struct SystemClock {
    clock: Clock,
    zero: Duration,
}

impl Tokens {
    pub(super) fn due(due: Instant) -> Self {
        Self {
            due,
            first: None,
            last: None,
            next: None,
        }
    }

    /// Takes a piece of text that has arrived, and enters what it says.
    pub(super) fn arrive(
        &mut self,
        (text, now): (&str, Instant),
        clock: &SystemClock,
        findings: &mut Findings,
    ) {
        findings.tokens += 1;
        match self.last.replace(now) {
            None => {
                self.first = Some(now);
                findings.first_token.record(now - self.due);
            }
            Some(before) => findings.gap.record(now - before),
        }
        for stamp in Stamp::all(text) {
            if let Some(latency) = clock.time(now).checked_sub(stamp.due) {
                findings.token.record(latency);
            }
            let expected = self.next.unwrap_or((stamp.run, 0));
            findings.misplaced += u64::from(expected != (stamp.run, stamp.sequence));
            self.next = Some((stamp.run, stamp.sequence + 1));
        }
    }

    /// From the first to the last.
    pub(super) fn speaking(&self) -> Option<Duration> {
        Some(self.last? - self.first?)
    }
}

impl SystemClock {
    pub(super) fn start() -> Self {
        let clock = Clock::start();
        Self {
            clock,
            zero: clock.zero_of_system(),
        }
    }

    /// What the system's clock showed at `instant`.
    fn time(&self, instant: Instant) -> Duration {
        self.zero + instant.saturating_duration_since(self.clock.instant(Duration::ZERO))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::Quantile;

    /// What is found of texts that arrive 10 ms after they were stamped.
    fn found(texts: &[&[(RunId, u64)]]) -> Findings {
        let (clock, now) = (SystemClock::start(), Instant::now());
        let (mut tokens, mut findings) = (Tokens::due(now), Findings::default());
        let due = clock.time(now) - Duration::from_millis(10);
        for stamps in texts {
            let mut text = Vec::new();
            for &(run, sequence) in *stamps {
                Stamp { run, sequence, due }.write(0, &mut text);
            }
            let text = String::from_utf8(text).unwrap();
            tokens.arrive((&text, now), &clock, &mut findings);
        }
        findings
    }

    #[test]
    fn each_stamp_is_a_latency_also_of_tokens_that_came_together() {
        let run = RunId::random();
        let findings = found(&[&[(run, 0)], &[(run, 1), (run, 2)]]);
        assert_eq!(
            (findings.tokens, findings.token.count(), findings.misplaced),
            (2, 3, 0)
        );
        let Quantile::At(latency) = findings.token.quantile(1.0, 0) else {
            panic!("nothing was measured")
        };
        assert!(latency.abs_diff(Duration::from_millis(10)) < Duration::from_micros(20));
    }

    #[test]
    fn what_is_lost_doubled_or_of_another_answer_is_out_of_place() {
        let (run, other) = (RunId::random(), RunId::random());
        for (stamps, misplaced) in [
            (&[(run, 0), (run, 2), (run, 3)][..], 1),
            (&[(run, 0), (run, 0), (run, 1)], 1),
            (&[(run, 1), (run, 2)], 1),
            (&[(run, 0), (other, 1), (run, 1)], 2),
        ] {
            assert_eq!(found(&[stamps]).misplaced, misplaced, "{stamps:?}");
        }
    }

    #[test]
    fn text_without_stamps_is_only_text() {
        let (clock, now) = (SystemClock::start(), Instant::now());
        let (mut tokens, mut findings) = (Tokens::due(now), Findings::default());
        tokens.arrive(("It is ", now), &clock, &mut findings);
        assert_eq!((findings.tokens, findings.token.count()), (1, 0));
        assert_eq!(tokens.speaking(), Some(Duration::ZERO));
    }
}
