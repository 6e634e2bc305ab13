//! A history that is right, made wrong in one place: each rule of the checker has to find its own.

use super::{
    checker::Fault,
    people::{PEOPLE, PLAN_NUMBER},
    record::{Delivery, History},
};

type Tampering = fn(&mut History);

pub(crate) const TAMPERINGS: [(Fault, Tampering); 8] = [
    (Fault::Shown, |history| *a_plan_number_at_the_nurse(history) = true),
    (Fault::Withheld, |history| *first_of_her_own(history).shown.first_mut().expect("it is selected") = false),
    (Fault::Missing, |history| drop(her_own(history).remove(0))),
    (Fault::OutOfOrder, |history| {
        let again = first_of_her_own(history).clone();
        her_own(history).insert(1, again);
    }),
    (Fault::OutOfOrder, |history| her_own(history).swap(0, 1)),
    (Fault::Unrecorded, |history| first_of_her_own(history).cursor.clear()),
    // To the end, of the other member, of whom she may never see anything.
    (Fault::Outlived, |history| history.watched[1].subscribed.push(None)),
    (Fault::OtherTruth, |history| {
        let allowed = &mut history.answers[0].allowed;
        allowed.iter_mut().for_each(|allowed| *allowed = !*allowed);
    }),
];

/// Of the first member to herself: she may see it all the time.
fn her_own(history: &mut History) -> &mut Vec<Delivery> {
    &mut history.watched[0].deliveries
}

fn first_of_her_own(history: &mut History) -> &mut Delivery {
    &mut her_own(history)[0]
}

/// A plan's number is not for care teams, whatever else changes.
fn a_plan_number_at_the_nurse(history: &mut History) -> &mut bool {
    let hers = history.watched.iter_mut().filter(|watched| PEOPLE[watched.person].user == "u-nurse");
    let mut deliveries = hers.flat_map(|watched| &mut watched.deliveries);
    &mut deliveries.next().expect("she was served").shown[PLAN_NUMBER]
}
