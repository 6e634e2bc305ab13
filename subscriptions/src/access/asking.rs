//! What relationships are asked, for whom, and what is kept of the answers.

use std::time::Duration;

use sluice_schema::access::{Mask, Round};

use super::{Access, AccessUnavailable, Decided, Question, cache::Kept, deciding::Deciding};
use crate::relationships::{Check, Checked, Consistency, RelationshipsError, Revision};

/// Whom a decision is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    /// An event, and those who share its shard: they wait with it. By every change that was told.
    Event,
    /// One who asks, or begins to watch, by everything that was written: a crowd at times.
    Asker,
}

pub(super) async fn within<T>(
    deadline: Duration,
    asking: impl Future<Output = Result<T, RelationshipsError>>,
) -> Result<T, AccessUnavailable> {
    let answered = tokio::time::timeout(deadline, asking).await;
    answered.map_err(|_| AccessUnavailable("no answer in time".into()))?.map_err(unavailable)
}

fn unavailable(error: RelationshipsError) -> AccessUnavailable {
    AccessUnavailable(error.to_string())
}

impl Access {
    /// Asks, and keeps the answers for as long as they hold.
    /// Where changes are not known now, or something strict is asked about, it is by everything that was written.
    pub(super) async fn ask(
        &self,
        questions: &[(Question<'_>, Option<&'static str>)],
        whom: For,
    ) -> Result<Vec<Decided>, AccessUnavailable> {
        let asked = self.cache.asked();
        let known = self.cache.is_known();
        let wide: Vec<_> = questions.iter().map(|(question, act)| self.widened(known, *question, *act)).collect();
        let strict = wide.iter().any(|(question, _)| question.demand.is_strict());
        let (deadline, consistency) = match whom {
            For::Event => (self.event_deadline(), if known && !strict { Consistency::Told } else { Consistency::Full }),
            For::Asker => (self.deadline, Consistency::Full),
        };
        let whole = within(deadline, self.in_rounds(&wide, consistency, whom)).await?;
        let mut decided = Vec::with_capacity(questions.len());
        for (((question, _), (wide, act)), whole) in questions.iter().zip(wide).zip(whole) {
            decided.push(whole.within(question.demand));
            if let (true, Some(member)) = (known, question.member) {
                // What is strict was decided for this question alone.
                let decided = whole.within(Mask::lasting(whole.mask));
                let kept = Kept { decided, asked: wide.demand.lasting(), act };
                self.cache.keep(asked, question.viewer, member, kept);
            }
        }
        Ok(decided)
    }

    /// The question, and what was asked about the same before.
    fn widened<'q>(
        &self,
        known: bool,
        question: Question<'q>,
        act: Option<&'static str>,
    ) -> (Question<'q>, Option<&'static str>) {
        if !known {
            return (question, act);
        }
        let (demand, before) = self.cache.asked_before(&question);
        (Question { demand: question.demand.with(demand), ..question }, act.or(before))
    }

    /// In the second round what depends on the answers of the first, at their revision. Where there is another state by then,
    /// everything at once: a decision that is put together from two may be true of neither.
    async fn in_rounds(
        &self,
        asked: &[(Question<'_>, Option<&'static str>)],
        consistency: Consistency,
        whom: For,
    ) -> Result<Vec<Decided>, RelationshipsError> {
        let begin = || asked.iter().map(|(question, act)| Deciding::new(question, *act)).collect::<Vec<_>>();
        let mut deciding = begin();
        let at = self.answer(&mut deciding, &[Round::First], consistency.clone(), whom).await?;
        match self.answer(&mut deciding, &[Round::Second], Consistency::At(at), whom).await {
            Ok(_) => {}
            Err(RelationshipsError::Overtaken) => {
                deciding = begin();
                self.answer(&mut deciding, &Round::ALL, consistency, whom).await?;
            }
            Err(error) => return Err(error),
        }
        Ok(deciding.into_iter().map(Deciding::decided).collect())
    }

    /// Asks what these rounds need; the revision of the answers.
    async fn answer(
        &self,
        deciding: &mut [Deciding<'_>],
        rounds: &[Round],
        consistency: Consistency,
        whom: For,
    ) -> Result<Revision, RelationshipsError> {
        let checks: Vec<_> = deciding.iter_mut().flat_map(|one| one.checks(rounds)).collect();
        if let (Consistency::At(at), true) = (&consistency, checks.is_empty()) {
            return Ok(at.clone());
        }
        let Checked { revision, allowed, until } = self.check(consistency, &checks, whom).await?;
        let mut answers = allowed.into_iter().zip(until);
        deciding.iter_mut().for_each(|one| one.answered(&mut answers, &revision.0));
        Ok(revision)
    }

    pub(super) async fn check(
        &self,
        consistency: Consistency,
        checks: &[Check],
        whom: For,
    ) -> Result<Checked, RelationshipsError> {
        let checked = match whom {
            For::Event => self.relationships.check_ahead(consistency, checks).await?,
            For::Asker => self.relationships.check_many(consistency, checks).await?,
        };
        if checked.allowed.len() == checks.len() && checked.until.len() == checks.len() {
            Ok(checked)
        } else {
            Err(RelationshipsError::Unavailable("not as many answers as questions".into()))
        }
    }
}
