//! What goes on by a token: each socket and each request, so that a revocation ends those that it means.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use sluice_schema::{
    ids::{TenantId, UserId},
    token::TokenId,
    viewer::Viewer,
};
use tokio_util::sync::CancellationToken;

use super::{Revocation, Revoked};

/// The end of a session that comes from here: a transport makes one.
///
/// When `cut` has returned, nothing more of what the session was to get leaves the process, and nothing more begins by it. It returns
/// at once, on any thread, and may be called again.
pub trait Cut: Send + Sync {
    fn cut(&self);
}

/// For what waits, and looks whether it may go on.
impl Cut for CancellationToken {
    fn cut(&self) {
        self.cancel();
    }
}

/// All sessions of a node. A user may have very many of them, so each is found in its order and none by a walk.
#[derive(Default)]
pub(super) struct Sessions {
    next: AtomicU64,
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    /// By users and those who act for them.
    by_user: BTreeMap<(TenantId, UserId, u64), Arc<Entry>>,
    by_token: BTreeMap<(TenantId, TokenId, u64), Arc<Entry>>,
}

struct Entry {
    viewer: Arc<Viewer>,
    revoked: AtomicBool,
    cut: Arc<dyn Cut>,
}

/// A session that is known here; dropping it ends that, and nothing else.
pub struct Session {
    sessions: Arc<Sessions>,
    number: u64,
    entry: Arc<Entry>,
}

impl Session {
    /// Whether its token was revoked: true from before the session was cut.
    pub fn is_revoked(&self) -> bool {
        self.entry.revoked.load(Ordering::Acquire)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.sessions.running().remove(&self.entry.viewer, self.number);
    }
}

impl Sessions {
    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(self: &Arc<Self>, viewer: &Arc<Viewer>, cut: Arc<dyn Cut>) -> Session {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let entry = Arc::new(Entry { viewer: viewer.clone(), revoked: AtomicBool::new(false), cut });
        self.running().insert(number, &entry);
        Session { sessions: self.clone(), number, entry }
    }

    /// Ends those that these revocations mean; gives how many.
    pub(super) fn end(&self, revocations: &[Revocation]) -> usize {
        let mut meant: HashMap<u64, Arc<Entry>> = HashMap::new();
        {
            let running = self.running();
            revocations.iter().for_each(|revocation| meant.extend(running.meant(revocation)));
        }
        let mut ended = 0;
        // Without the lock: a session that is cut may end, and be dropped, here.
        for entry in meant.into_values() {
            if !entry.revoked.swap(true, Ordering::AcqRel) {
                entry.cut.cut();
                ended += 1;
            }
        }
        ended
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.running().by_user.len()
    }
}

impl Running {
    fn insert(&mut self, number: u64, entry: &Arc<Entry>) {
        let Viewer { tenant, token, .. } = &*entry.viewer;
        for user in entry.viewer.people() {
            self.by_user.insert((tenant.clone(), user.clone(), number), entry.clone());
        }
        if let Some(id) = token.id {
            self.by_token.insert((tenant.clone(), id, number), entry.clone());
        }
    }

    fn remove(&mut self, viewer: &Viewer, number: u64) {
        let Viewer { tenant, token, .. } = viewer;
        for user in viewer.people() {
            self.by_user.remove(&(tenant.clone(), user.clone(), number));
        }
        if let Some(id) = token.id {
            self.by_token.remove(&(tenant.clone(), id, number));
        }
    }

    fn meant(&self, Revocation { tenant, revoked, .. }: &Revocation) -> Vec<(u64, Arc<Entry>)> {
        let found = |number: u64, entry: &Arc<Entry>| (number, entry.clone());
        match revoked {
            Revoked::Token(id) => {
                let all = (tenant.clone(), *id, 0)..=(tenant.clone(), *id, u64::MAX);
                self.by_token.range(all).map(|((.., number), entry)| found(*number, entry)).collect()
            }
            Revoked::User { user, issued_until } => {
                let all = (tenant.clone(), user.clone(), 0)..=(tenant.clone(), user.clone(), u64::MAX);
                let of_user = self.by_user.range(all);
                let meant = of_user.filter(|(_, entry)| entry.viewer.token.issued <= *issued_until);
                meant.map(|((.., number), entry)| found(*number, entry)).collect()
            }
        }
    }
}
