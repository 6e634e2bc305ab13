//! What may happen to an eligibility check, and what it does to it. Pure: values in, values out.

use prost_types::Timestamp;
use sluice_schema::{
    ids::{CheckId, MemberId, PayerId, UserId},
    proto::eligibility::{
        Coverage, EligibilityCheck, EligibilityCheckAnswered, EligibilityCheckCancelled, EligibilityCheckFailed,
        EligibilityCheckRejected, EligibilityCheckRequested, EligibilityState, Failure, Provider, Rejection,
        Subscriber,
    },
};

use super::events::Happened;

/// What somebody wants of a check.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    Request(Box<RequestEligibilityCheck>),
    Answer(Box<Coverage>),
    Reject(Vec<Rejection>),
    Fail(Failure),
    Cancel { by: UserId },
}

/// A question that is valid by construction: see [`super::input`].
#[derive(Debug, Clone, PartialEq)]
pub struct RequestEligibilityCheck {
    pub check: CheckId,
    pub member: MemberId,
    pub payer: PayerId,
    pub provider: Provider,
    pub subscriber: Subscriber,
    /// X12 service type codes: known, no two alike, 1 to 99.
    pub service_type_codes: Vec<String>,
    /// ISO 8601.
    pub date_of_service: Option<String>,
    pub requested_by: UserId,
}

/// Why a command is not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("there is no such eligibility check")]
    Missing,
    #[error("the eligibility check was requested before")]
    AlreadyRequested,
    #[error("the eligibility check is finished")]
    AlreadyFinished,
}

/// What happens when `command` meets `state`; `None` where there is no check yet.
///
/// A check is requested once, and leaves ACCEPTED once. What comes later, like an answer after a cancellation, is refused.
pub fn decide(state: Option<&EligibilityCheck>, command: Command) -> Result<Vec<Happened>, Refused> {
    let happened = match (state, command) {
        (None, Command::Request(request)) => Happened::Requested(requested(*request)),
        (Some(_), Command::Request(_)) => return Err(Refused::AlreadyRequested),
        (None, _) => return Err(Refused::Missing),
        (Some(check), _) if check.state() != EligibilityState::Accepted => return Err(Refused::AlreadyFinished),
        (Some(check), Command::Answer(coverage)) => answered(check.id.clone(), *coverage),
        (Some(check), Command::Reject(rejections)) => {
            Happened::Rejected(EligibilityCheckRejected { check_id: check.id.clone(), rejections })
        }
        (Some(check), Command::Fail(failure)) => {
            Happened::Failed(EligibilityCheckFailed { check_id: check.id.clone(), failure: Some(failure) })
        }
        (Some(check), Command::Cancel { by }) => cancelled(check.id.clone(), &by),
    };
    Ok(vec![happened])
}

fn requested(request: RequestEligibilityCheck) -> EligibilityCheckRequested {
    EligibilityCheckRequested {
        check_id: request.check.to_string(),
        member_id: request.member.to_string(),
        payer_id: Some(request.payer.to_string()),
        provider: Some(request.provider),
        subscriber: Some(request.subscriber),
        service_type_codes: request.service_type_codes,
        date_of_service: request.date_of_service,
        requested_by: Some(request.requested_by.to_string()),
    }
}

fn answered(check_id: String, coverage: Coverage) -> Happened {
    Happened::Answered(EligibilityCheckAnswered { check_id, coverage: Some(coverage) })
}

fn cancelled(check_id: String, by: &UserId) -> Happened {
    Happened::Cancelled(EligibilityCheckCancelled { check_id, cancelled_by: Some(by.to_string()) })
}

/// The state after `happened`, which happened `at` (the header's `occurred_at`).
pub fn evolve(state: Option<&EligibilityCheck>, happened: &Happened, at: Timestamp) -> EligibilityCheck {
    let mut check = state.cloned().unwrap_or_default();
    let state = match happened {
        Happened::Requested(event) => return accepted(event, at),
        Happened::Answered(event) => {
            check.coverage.clone_from(&event.coverage);
            EligibilityState::Answered
        }
        Happened::Rejected(event) => {
            check.rejections.clone_from(&event.rejections);
            EligibilityState::Rejected
        }
        Happened::Failed(event) => {
            check.failure.clone_from(&event.failure);
            EligibilityState::Failed
        }
        Happened::Cancelled(_) => EligibilityState::Cancelled,
    };
    check.set_state(state);
    check.completed_at = Some(at);
    check
}

fn accepted(event: &EligibilityCheckRequested, at: Timestamp) -> EligibilityCheck {
    EligibilityCheck {
        id: event.check_id.clone(),
        member_id: event.member_id.clone(),
        state: EligibilityState::Accepted.into(),
        payer_id: event.payer_id.clone(),
        provider: event.provider.clone(),
        subscriber: event.subscriber.clone(),
        service_type_codes: event.service_type_codes.clone(),
        date_of_service: event.date_of_service.clone(),
        requested_at: Some(at),
        requested_by: event.requested_by.clone(),
        ..EligibilityCheck::default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::eligibility::arbitrary::{any_command, request};

    fn at(seconds: i64) -> Timestamp {
        Timestamp { seconds, nanos: 0 }
    }

    proptest! {
        #[test]
        fn a_check_begins_once_and_ends_once(commands in proptest::collection::vec(any_command(), 1..20)) {
            let mut state: Option<EligibilityCheck> = None;
            let mut accepted = Vec::new();
            for (i, command) in (0..).zip(commands) {
                let is_request = matches!(command, Command::Request(_));
                let before = state.as_ref().map(EligibilityCheck::state);
                let decided = decide(state.as_ref(), command);
                match (before, is_request) {
                    (None, false) => prop_assert_eq!(&decided, &Err(Refused::Missing)),
                    (Some(_), true) => prop_assert_eq!(&decided, &Err(Refused::AlreadyRequested)),
                    (Some(EligibilityState::Accepted), false) | (None, true) => prop_assert!(decided.is_ok()),
                    (Some(_), false) => prop_assert_eq!(&decided, &Err(Refused::AlreadyFinished)),
                }
                for happened in decided.unwrap_or_default() {
                    state = Some(evolve(state.as_ref(), &happened, at(i)));
                    accepted.push(happened);
                }
            }
            prop_assert!(accepted.len() <= 2, "a request and an end: {:?}", accepted);
        }

        #[test]
        fn events_survive_their_bytes(command in any_command()) {
            let state = evolve(None, &decide(None, request()).expect("new")[0], at(0));
            let state = if matches!(command, Command::Request(_)) { None } else { Some(state) };
            for happened in decide(state.as_ref(), command).expect("accepted") {
                prop_assert_eq!(Happened::decode(&happened.type_name(), &happened.encode()), Ok(Some(happened)));
            }
        }
    }

    #[test]
    fn times_are_the_events() {
        let check = evolve(None, &decide(None, request()).expect("new")[0], at(10));
        assert_eq!((check.requested_at, check.completed_at), (Some(at(10)), None));
        let cancel = Command::Cancel { by: "u-1".parse().expect("id") };
        let check = evolve(Some(&check), &decide(Some(&check), cancel).expect("accepted")[0], at(20));
        assert_eq!((check.requested_at, check.completed_at), (Some(at(10)), Some(at(20))));
        assert_eq!(check.state(), EligibilityState::Cancelled);
    }

    #[test]
    fn a_late_answer_is_refused_after_a_cancellation() {
        let check = evolve(None, &decide(None, request()).expect("new")[0], at(1));
        let cancel = Command::Cancel { by: "u-1".parse().expect("id") };
        let check = evolve(Some(&check), &decide(Some(&check), cancel).expect("accepted")[0], at(2));
        assert_eq!(decide(Some(&check), Command::Answer(Box::default())), Err(Refused::AlreadyFinished));
    }
}
