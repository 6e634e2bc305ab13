//! Checks of several callers in one request.

use std::collections::HashMap;

use jiff::Timestamp;
use sluice_subscriptions::relationships::{Check, Checked, Consistency, RelationshipsError, Revision};
use spicedb_grpc_tonic::v1::{
    CheckBulkPermissionsPair, CheckBulkPermissionsRequest, CheckBulkPermissionsResponse, CheckDebugTrace,
    check_bulk_permissions_pair::Response, check_debug_trace::Resolution, check_permission_response::Permissionship,
    consistency::Requirement,
};
use tokio::sync::oneshot;
use tonic::{Code, Status};

use super::{refusal, wire};

/// Checks in one request. SpiceDB takes 10,000, but also no more than 4 MiB, which so many with long ids would pass.
pub(super) const MAX_CHECKS: usize = 1000;

/// What a request's answers must know of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Freshness {
    Full,
    AtLeast(Revision),
    /// Just this revision: the rest of a call that is too large for one request.
    Exact(Revision),
}

impl From<Consistency> for Freshness {
    fn from(consistency: Consistency) -> Self {
        match consistency {
            Consistency::Full => Self::Full,
            Consistency::AtLeast(revision) => Self::AtLeast(revision),
        }
    }
}

impl Freshness {
    /// What serves both, if anything does. Revisions can't be compared here, but full consistency is as fresh as any.
    fn serving(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            _ if self == other => Some(self.clone()),
            (Self::Exact(_), _) | (_, Self::Exact(_)) => None,
            _ => Some(Self::Full),
        }
    }

    fn requirement(&self) -> Requirement {
        match self {
            Self::Full => Requirement::FullyConsistent(true),
            Self::AtLeast(revision) => Requirement::AtLeastAsFresh(wire::token(revision)),
            Self::Exact(revision) => Requirement::AtExactSnapshot(wire::token(revision)),
        }
    }
}

pub(super) type Answer = Result<Checked, RelationshipsError>;

/// One caller's checks, at most [`MAX_CHECKS`].
pub(super) struct Job {
    pub(super) at: Freshness,
    pub(super) checks: Vec<Check>,
    pub(super) reply: oneshot::Sender<Answer>,
}

pub(super) struct Batch {
    at: Freshness,
    checks: usize,
    jobs: Vec<Job>,
}

impl Batch {
    pub(super) fn of(job: Job) -> Self {
        Self { at: job.at.clone(), checks: job.checks.len(), jobs: vec![job] }
    }

    /// Takes the job in, or gives it back where it does not fit.
    pub(super) fn join(&mut self, job: Job) -> Result<(), Job> {
        let Some(at) = self.at.serving(&job.at) else { return Err(job) };
        if self.checks + job.checks.len() > MAX_CHECKS {
            return Err(job);
        }
        (self.at, self.checks) = (at, self.checks + job.checks.len());
        self.jobs.push(job);
        Ok(())
    }

    /// The request, in which each check stands once, and who waits for which of its answers.
    ///
    /// When relationships expire is told by traces only.
    pub(super) fn into_request(self, traced: bool) -> (CheckBulkPermissionsRequest, Waiting) {
        let (mut places, mut items) = (HashMap::new(), Vec::new());
        let mut place = |check: Check| {
            *places.entry(check).or_insert_with_key(|check| {
                items.push(wire::item(check));
                items.len() - 1
            })
        };
        let mut callers = Vec::with_capacity(self.jobs.len());
        for Job { checks, reply, .. } in self.jobs {
            callers.push((checks.into_iter().map(&mut place).collect(), reply));
        }
        let consistency = wire::consistency(self.at.requirement());
        let request = CheckBulkPermissionsRequest { consistency, items, with_tracing: traced };
        (request, Waiting { callers })
    }
}

pub(super) struct Waiting {
    /// For each caller the places of its answers.
    callers: Vec<(Vec<usize>, oneshot::Sender<Answer>)>,
}

impl Waiting {
    /// Whoever has gone away does not hear it.
    pub(super) fn answer(
        self,
        request: &CheckBulkPermissionsRequest,
        result: Result<CheckBulkPermissionsResponse, Status>,
    ) {
        let answers = result.and_then(|response| Answers::read(request, response));
        for (places, reply) in self.callers {
            let answer = match &answers {
                Ok(answers) => answers.of(&places),
                Err(status) => Err(refusal::call(status)),
            };
            let _ = reply.send(answer);
        }
    }
}

/// When the first of the relationships expires that a yes was found by.
fn first_to_expire(trace: &CheckDebugTrace) -> Option<Timestamp> {
    let own = trace.optional_expires_at.as_ref().and_then(wire::time);
    let below = match &trace.resolution {
        Some(Resolution::SubProblems(problems)) => problems.traces.as_slice(),
        _ => &[],
    };
    own.into_iter().chain(below.iter().filter_map(first_to_expire)).min()
}

struct Answers {
    revision: Revision,
    pairs: Vec<CheckBulkPermissionsPair>,
}

impl Answers {
    /// Each answer tells its question again; answers to others are none.
    fn read(request: &CheckBulkPermissionsRequest, response: CheckBulkPermissionsResponse) -> Result<Self, Status> {
        let CheckBulkPermissionsResponse { checked_at, pairs } = response;
        let asked = request.items.iter().map(Some);
        match checked_at.map(wire::revision) {
            Some(revision) if asked.eq(pairs.iter().map(|pair| pair.request.as_ref())) => Ok(Self { revision, pairs }),
            _ => Err(Status::data_loss("the answers are not those to the questions")),
        }
    }

    fn of(&self, places: &[usize]) -> Answer {
        let (mut until, now) = (None, Timestamp::now());
        let allowed = places.iter().map(|place| match &self.pairs[*place].response {
            Some(Response::Item(item)) if item.permissionship() == Permissionship::HasPermission => {
                let trace = item.debug_trace.as_ref().and_then(|trace| trace.check.as_ref());
                let expires = trace.and_then(first_to_expire);
                until = until.into_iter().chain(expires).min();
                // The datastore's clock may be behind this one.
                Ok(expires.is_none_or(|expires| now < expires))
            }
            Some(Response::Error(error)) => {
                refusal::item(Code::from(error.code), &error.details).map_or(Ok(false), Err)
            }
            Some(Response::Item(_)) | None => Ok(false),
        });
        let allowed = allowed.collect::<Result<_, _>>()?;
        Ok(Checked { allowed, revision: self.revision.clone(), until })
    }
}
