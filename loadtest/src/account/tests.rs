//! Deliberately faulty sequences, each counted exactly.

use super::*;

fn after(expected: u64, arrivals: impl IntoIterator<Item = u64>) -> Tally {
    let mut account = Account::new(expected);
    for sequence in arrivals {
        account.arrival(sequence, &format!("id-{sequence}"));
    }
    account.tally()
}

fn holes(tally: &Tally) -> Vec<(u64, u64)> {
    let bounds = |range: &Range<u64>| (range.start, range.end);
    tally.missing.iter().map(bounds).collect()
}

#[test]
fn a_faultless_sequence_is_complete() {
    let tally = after(1_000, 0..1_000);
    assert!(tally.is_complete());
    assert_eq!(
        (tally.expected, tally.received, tally.lost),
        (1_000, 1_000, 0)
    );
    assert!(tally.missing.is_empty());
}

#[test]
fn every_hundredth_dropped_is_lost_and_named() {
    let tally = after(1_000, (0..1_000).filter(|sequence| sequence % 100 != 99));
    assert_eq!(
        (tally.lost, tally.duplicated, tally.out_of_order),
        (10, 0, 0)
    );
    assert_eq!(tally.missing.len(), NAMED_RANGES);
    assert_eq!(tally.missing[0], 99..100);
    assert!(!tally.is_complete());
}

#[test]
fn a_hole_is_one_range() {
    let tally = after(130, (0..60).chain(70..130));
    assert_eq!((tally.lost, holes(&tally)), (10, vec![(60, 70)]));
}

#[test]
fn a_tail_that_never_came_is_lost() {
    let tally = after(65, 0..63);
    assert_eq!((tally.lost, holes(&tally)), (2, vec![(63, 65)]));
}

#[test]
fn nothing_received_is_everything_lost() {
    let tally = after(200, []);
    assert_eq!((tally.lost, holes(&tally)), (200, vec![(0, 200)]));
}

#[test]
fn a_doubled_event_is_one_duplicate_and_one_repeated_id() {
    let tally = after(5, [0, 1, 1, 2, 3, 4]);
    assert_eq!(
        (
            tally.duplicated,
            tally.ids_repeated,
            tally.out_of_order,
            tally.lost
        ),
        (1, 1, 0, 0)
    );
    assert!(!tally.is_complete());
}

#[test]
fn a_replay_from_the_start_is_as_many_duplicates_and_no_disorder() {
    let tally = after(5, [0, 1, 2, 0, 1, 2, 3, 4]);
    assert_eq!(
        (tally.duplicated, tally.out_of_order, tally.lost),
        (3, 0, 0)
    );
}

#[test]
fn two_neighbours_exchanged_are_one_out_of_order() {
    let tally = after(5, [0, 2, 1, 3, 4]);
    assert_eq!(
        (tally.out_of_order, tally.duplicated, tally.lost),
        (1, 0, 0)
    );
    assert!(!tally.is_complete());
}

#[test]
fn an_event_that_comes_ten_late_is_one_out_of_order() {
    let tally = after(20, (0..5).chain(6..16).chain([5]).chain(16..20));
    assert_eq!((tally.out_of_order, tally.lost), (1, 0));
}

#[test]
fn a_reversed_sequence_is_out_of_order_but_for_its_first() {
    assert_eq!(after(10, (0..10).rev()).out_of_order, 9);
}

#[test]
fn a_right_event_under_a_used_id_is_noticed() {
    let mut account = Account::new(3);
    account.arrival(0, "a");
    account.arrival(1, "b");
    account.arrival(2, "a");
    let tally = account.tally();
    assert_eq!(
        (tally.ids_repeated, tally.duplicated, tally.lost),
        (1, 0, 0)
    );
    assert!(!tally.is_complete());
}

#[test]
fn a_doubled_event_under_a_fresh_id_is_noticed() {
    let mut account = Account::new(1);
    account.arrival(0, "a");
    account.arrival(0, "b");
    let tally = account.tally();
    assert_eq!((tally.ids_repeated, tally.duplicated), (0, 1));
}

#[test]
fn events_without_ids_are_counted_and_not_called_repeated() {
    let mut account = Account::new(2);
    account.arrival(0, "");
    account.arrival(1, "");
    let tally = account.tally();
    assert_eq!((tally.ids_missing, tally.ids_repeated), (2, 0));
    assert!(!tally.is_complete());
}

#[test]
fn an_announced_gap_is_never_complete() {
    let mut account = Account::new(1);
    account.arrival(0, "a");
    account.gap();
    assert_eq!(account.tally().gaps, 1);
    assert!(!account.tally().is_complete());
}

#[test]
fn events_that_are_not_owed_are_foreign_and_harmless() {
    let mut account = Account::new(1);
    account.arrival(7, "z");
    account.foreign();
    account.arrival(0, "a");
    let tally = account.tally();
    assert_eq!((tally.foreign, tally.received), (2, 1));
    assert!(tally.is_complete());
}

#[test]
fn totals_are_sums() {
    let mut total = after(3, [0, 1, 2]);
    total.add(&after(3, [0, 0, 2]));
    assert_eq!(
        (total.expected, total.received, total.lost, total.duplicated),
        (6, 5, 1, 1)
    );
}

#[test]
fn random_faults_add_up() {
    // A model that knows the faults it makes: what is dropped, what is doubled.
    use rand::{RngExt, SeedableRng, rngs::StdRng};
    for seed in 0..50 {
        let mut random = StdRng::seed_from_u64(seed);
        let (mut dropped, mut doubled) = (0, 0);
        let mut arrivals = Vec::new();
        for sequence in 0..500 {
            match random.random_range(0..10) {
                0 => dropped += 1,
                1 => {
                    doubled += 1;
                    arrivals.extend([sequence, sequence]);
                }
                _ => arrivals.push(sequence),
            }
        }
        let tally = after(500, arrivals);
        assert_eq!(
            (tally.lost, tally.duplicated, tally.out_of_order),
            (dropped, doubled, 0),
            "seed {seed}"
        );
    }
}

#[test]
fn who_came_late_is_owed_the_rest_only() {
    let mut account = Account::new(1_000_000);
    for sequence in [40, 41, 43] {
        account.arrival(sequence, &sequence.to_string());
    }
    assert_eq!(account.first(), Some(40));
    let tally = account.tally_of(40..45);
    assert_eq!((tally.expected, tally.received, tally.lost), (5, 3, 2));
    assert_eq!(tally.missing, [42..43, 44..45]);
}
