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

use crate::errors::{undecided, unreadable};

/// Checks by id.
pub(crate) struct Checks {
    pub(crate) reader: EligibilityReader,
    pub(crate) tenant: TenantId,
}

impl Loader<CheckId> for Checks {
    type Value = EligibilityCheck;
    type Error = ClientError;

    async fn load(&self, ids: &[CheckId]) -> Result<HashMap<CheckId, EligibilityCheck>, ClientError> {
        let current = self.reader.current(&self.tenant, ids).await.map_err(unreadable)?;
        Ok(ids.iter().cloned().zip(current).filter_map(|(id, current)| Some((id, current?.check))).collect())
    }
}

/// One viewer's masks by member and by what is to be shown; `None` is asked for a member that does not exist.
pub(crate) struct Masks {
    pub(crate) access: Arc<Access>,
    pub(crate) viewer: Arc<Viewer>,
}

type Asked = (Option<MemberId>, Mask);

impl Loader<Asked> for Masks {
    type Value = (Mask, Arc<str>);
    type Error = ClientError;

    async fn load(&self, asked: &[Asked]) -> Result<HashMap<Asked, Self::Value>, ClientError> {
        let question = |(member, demand): &'_ Asked| (member.clone(), *demand);
        let asked: Vec<_> = asked.iter().map(question).collect();
        let questions: Vec<_> = asked
            .iter()
            .map(|(member, demand)| Question { viewer: &self.viewer, member: member.as_ref(), demand: *demand })
            .collect();
        let decided = self.access.decide_for(&questions).await.map_err(undecided)?;
        let masks: Vec<_> = decided.into_iter().map(|decided| (decided.mask, decided.revision)).collect();
        Ok(asked.into_iter().zip(masks).collect())
    }
}
