//! Checks of several callers in one request.

use std::{collections::HashMap, time::Instant};

use sluice_subscriptions::relationships::{Check, Checked, Consistency, RelationshipsError, Revision};
use spicedb_grpc_tonic::v1::{
    CheckBulkPermissionsPair, CheckBulkPermissionsRequest, CheckBulkPermissionsRequestItem,
    CheckBulkPermissionsResponse, ZedToken, check_bulk_permissions_pair::Response,
    check_permission_response::Permissionship, consistency::Requirement,
};
use tokio::sync::oneshot;
use tonic::{Code, Status};

use super::{fresh::Fresh, refusal, wire};

/// Checks in one request. SpiceDB takes 10,000, but also no more than 4 MiB, which so many with long ids would pass; and all of
/// them have to be answered within the deadline: two cores that PostgreSQL shares check about 4,000 in a second.
pub(super) const MAX_CHECKS: usize = 500;

/// What a request's answers must know of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Freshness {
    Full,
    Told,
    AtLeast(Revision),
    /// Just this revision: the rest of a call that is too large for one request, or what is asked because of its answers.
    Exact(Revision),
}

impl From<Consistency> for Freshness {
    fn from(consistency: Consistency) -> Self {
        match consistency {
            Consistency::Full => Self::Full,
            Consistency::Told => Self::Told,
            Consistency::AtLeast(revision) => Self::AtLeast(revision),
            Consistency::At(revision) => Self::Exact(revision),
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

    /// As SpiceDB can be asked for it, for callers of whom the last came at this instant.
    async fn revision(&self, fresh: &Fresh, came: Instant) -> Result<Self, Status> {
        let holding = |at: Option<ZedToken>| at.map_or(Self::Full, |at| Self::Exact(wire::revision(at)));
        match self {
            Self::Full => fresh.since(came).await.map(holding),
            Self::Told => fresh.since(fresh.last_told().unwrap_or(came)).await.map(holding),
            at => Ok(at.clone()),
        }
    }

    fn requirement(&self) -> Requirement {
        match self {
            // As good as SpiceDB can; what has to be better was made exact.
            Self::Full | Self::Told => Requirement::FullyConsistent(true),
            Self::AtLeast(revision) => Requirement::AtLeastAsFresh(wire::token(revision)),
            Self::Exact(revision) => Requirement::AtExactSnapshot(wire::token(revision)),
        }
    }
}

pub(super) type Answer = Result<Checked, RelationshipsError>;

/// One caller's checks, at most [`MAX_CHECKS`].
pub(super) struct Job {
    pub(super) at: Freshness,
    /// When the caller came.
    pub(super) came: Instant,
    pub(super) checks: Vec<Check>,
    pub(super) reply: oneshot::Sender<Answer>,
}

pub(super) struct Batch {
    at: Freshness,
    /// When the last of the callers came.
    came: Instant,
    checks: usize,
    jobs: Vec<Job>,
}

impl Batch {
    pub(super) fn of(job: Job) -> Self {
        Self { at: job.at.clone(), came: job.came, checks: job.checks.len(), jobs: vec![job] }
    }

    /// Takes the job in, or gives it back where it does not fit.
    pub(super) fn join(&mut self, job: Job) -> Result<(), Job> {
        let Some(at) = self.at.serving(&job.at) else { return Err(job) };
        if self.checks + job.checks.len() > MAX_CHECKS {
            return Err(job);
        }
        (self.at, self.came) = (at, self.came.max(job.came));
        self.checks += job.checks.len();
        self.jobs.push(job);
        Ok(())
    }

    /// What is asked, each check once, and who waits for which of its answers.
    pub(super) fn into_parts(self) -> (Asked, Waiting) {
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
        let request = CheckBulkPermissionsRequest { consistency: None, items, with_tracing: false };
        (Asked { at: self.at, came: self.came, request }, Waiting { callers })
    }
}

pub(super) struct Asked {
    at: Freshness,
    came: Instant,
    /// How consistent it is to be is not said yet.
    pub(super) request: CheckBulkPermissionsRequest,
}

impl Asked {
    /// Says it, by a revision that stands for what the callers asked for. It need not be newer than the last of them: a crowd that
    /// came together and takes many requests shares one.
    pub(super) async fn is_to_hold(&mut self, fresh: &Fresh) -> Result<(), Status> {
        let at = self.at.revision(fresh, self.came).await?;
        self.request.consistency = wire::consistency(at.requirement());
        Ok(())
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
        asked: &[CheckBulkPermissionsRequestItem],
        result: Result<CheckBulkPermissionsResponse, Status>,
    ) {
        let answers = result.and_then(|response| Answers::read(asked, response));
        for (places, reply) in self.callers {
            let answer = match &answers {
                Ok(answers) => answers.of(&places),
                Err(status) => Err(refusal::call(status)),
            };
            let _ = reply.send(answer);
        }
    }
}

struct Answers {
    revision: Revision,
    pairs: Vec<CheckBulkPermissionsPair>,
}

impl Answers {
    /// Each answer tells its question again; answers to others are none.
    fn read(asked: &[CheckBulkPermissionsRequestItem], response: CheckBulkPermissionsResponse) -> Result<Self, Status> {
        let CheckBulkPermissionsResponse { checked_at, pairs } = response;
        match checked_at.map(wire::revision) {
            Some(revision) if asked.iter().map(Some).eq(pairs.iter().map(|pair| pair.request.as_ref())) => {
                Ok(Self { revision, pairs })
            }
            _ => Err(Status::data_loss("the answers are not those to the questions")),
        }
    }

    fn of(&self, places: &[usize]) -> Answer {
        let allowed = places.iter().map(|place| match &self.pairs[*place].response {
            Some(Response::Item(item)) => Ok(item.permissionship() == Permissionship::HasPermission),
            Some(Response::Error(error)) => {
                refusal::item(Code::from(error.code), &error.details).map_or(Ok(false), Err)
            }
            None => Ok(false),
        });
        let until = vec![None; places.len()];
        Ok(Checked { allowed: allowed.collect::<Result<_, _>>()?, revision: self.revision.clone(), until })
    }
}
