//! What was revoked, as it is looked into for each request.

use hashbrown::{Equivalent, HashMap};
use jiff::Timestamp;
use sluice_schema::{
    ids::{TenantId, UserId},
    token::TokenId,
    viewer::Viewer,
};

use super::{Revocation, Revoked};

#[derive(Debug, Default)]
pub(super) struct List {
    /// Until when each is kept.
    tokens: HashMap<(TenantId, TokenId), Timestamp>,
    users: HashMap<(TenantId, UserId), OfUser>,
}

#[derive(Debug)]
struct OfUser {
    issued_until: Timestamp,
    kept_until: Timestamp,
}

/// Keys without owning them: hashed and compared as the tuples of owned ones are.
#[derive(Hash)]
struct Of<'a, T>(&'a TenantId, &'a T);

impl<T: PartialEq> Equivalent<(TenantId, T)> for Of<'_, T> {
    fn equivalent(&self, (tenant, id): &(TenantId, T)) -> bool {
        self.0 == tenant && self.1 == id
    }
}

impl List {
    /// One that is there already is kept for the longer of the two.
    pub(super) fn add(&mut self, revocation: &Revocation) {
        let (tenant, kept) = (revocation.tenant.clone(), revocation.kept_until);
        match &revocation.revoked {
            Revoked::Token(id) => {
                let until = self.tokens.entry((tenant, *id)).or_insert(kept);
                *until = kept.max(*until);
            }
            Revoked::User { user, issued_until } => {
                let new = || OfUser { issued_until: *issued_until, kept_until: kept };
                let of = self.users.entry((tenant, user.clone())).or_insert_with(new);
                of.issued_until = of.issued_until.max(*issued_until);
                of.kept_until = of.kept_until.max(kept);
            }
        }
    }

    pub(super) fn means(&self, viewer: &Viewer) -> bool {
        let Viewer { tenant, token, .. } = viewer;
        token.id.as_ref().is_some_and(|id| self.tokens.contains_key(&Of(tenant, id)))
            || viewer
                .people()
                .any(|user| self.users.get(&Of(tenant, user)).is_some_and(|of| token.issued <= of.issued_until))
    }

    /// Forgets what can't mean a valid token any more.
    pub(super) fn purge(&mut self, now: Timestamp) {
        self.tokens.retain(|_, kept_until| *kept_until > now);
        self.users.retain(|_, of| of.kept_until > now);
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.tokens.is_empty() && self.users.is_empty()
    }
}
