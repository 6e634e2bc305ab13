//! Loaders: what many resolvers of one request ask for is fetched at once.

use std::{collections::HashMap, sync::Arc};

use async_graphql::dataloader::Loader;
use sluice_domain::eligibility::reader::EligibilityReader;
use sluice_schema::{
    access::Mask,
    error::ClientError,
    ids::{CheckId, MemberId, TenantId},
    proto::eligibility::EligibilityCheck,
    viewer::Viewer,
};
use sluice_subscriptions::access::{Access, Question};

use crate::errors::undecided;

/// Checks by id.
pub(crate) struct Checks {
    pub(crate) reader: EligibilityReader,
    pub(crate) tenant: TenantId,
}

impl Loader<CheckId> for Checks {
    type Value = EligibilityCheck;
    type Error = ClientError;

    async fn load(&self, ids: &[CheckId]) -> Result<HashMap<CheckId, EligibilityCheck>, ClientError> {
        let current = self.reader.current(&self.tenant, ids).await.map_err(|error| {
            tracing::error!(%error, "checks can't be read");
            error.to_client()
        })?;
        Ok(ids.iter().cloned().zip(current).filter_map(|(id, current)| Some((id, current?.check))).collect())
    }
}

/// One viewer's masks by member; `None` is asked for a member that does not exist.
pub(crate) struct Masks {
    pub(crate) access: Arc<Access>,
    pub(crate) viewer: Arc<Viewer>,
}

impl Loader<Option<MemberId>> for Masks {
    type Value = (Mask, Arc<str>);
    type Error = ClientError;

    async fn load(&self, members: &[Option<MemberId>]) -> Result<HashMap<Option<MemberId>, Self::Value>, ClientError> {
        let question = |member: &'_ Option<MemberId>| (member.as_ref()).cloned();
        let members: Vec<_> = members.iter().map(question).collect();
        let questions: Vec<_> =
            members.iter().map(|member| Question { viewer: &self.viewer, member: member.as_ref() }).collect();
        let decisions = self.access.decide(&questions).await.map_err(undecided)?;
        let masks = decisions.masks.iter().map(|mask| (*mask, decisions.revision.clone()));
        Ok(members.iter().cloned().zip(masks).collect())
    }
}
