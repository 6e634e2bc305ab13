//! An audit trail in memory, for tests: it can be told to fail, or to take its time.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use tokio::sync::watch;

use super::{AuditRecord, AuditTrail, AuditUnavailable, Verified};

/// How it behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mood {
    #[default]
    Sound,
    /// Refuses everything.
    Failing,
    /// Answers nothing until the mood changes.
    Stalled,
}

/// Keeps every record.
#[derive(Default)]
pub struct MemoryAudit {
    records: Mutex<Vec<AuditRecord>>,
    mood: watch::Sender<Mood>,
    /// The moods of the next appends, one each, before the common one counts again.
    script: Mutex<VecDeque<Mood>>,
    /// How many appends are waiting or have been answered.
    asked: watch::Sender<usize>,
}

impl MemoryAudit {
    pub fn set(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// How the next appends go, in order; one that is stalled waits until the common mood is set.
    pub fn script(&self, moods: impl IntoIterator<Item = Mood>) {
        self.script.lock().unwrap_or_else(PoisonError::into_inner).extend(moods);
    }

    pub fn records(&self) -> Vec<AuditRecord> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until `count` appends in all have been asked for, whatever became of them.
    pub async fn asked(&self, count: usize) {
        // The sender lives as long as `self`.
        let _ = self.asked.subscribe().wait_for(|asked| *asked >= count).await;
    }
}

#[async_trait]
impl AuditTrail for MemoryAudit {
    async fn append(&self, records: Vec<AuditRecord>) -> Result<(), AuditUnavailable> {
        self.asked.send_modify(|asked| *asked += 1);
        let mut common = self.mood.subscribe();
        common.mark_unchanged();
        let scripted = self.script.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let mood = match scripted {
            Some(Mood::Stalled) => common.changed().await.map(|()| *common.borrow()),
            Some(mood) => Ok(mood),
            None => common.wait_for(|mood| *mood != Mood::Stalled).await.map(|mood| *mood),
        };
        if mood.ok() != Some(Mood::Sound) {
            return Err(AuditUnavailable("told to fail".into()));
        }
        self.records.lock().unwrap_or_else(PoisonError::into_inner).extend(records);
        Ok(())
    }

    async fn verify(&self) -> Result<Verified, AuditUnavailable> {
        Ok(Verified::Intact { records: self.records().len() as u64 })
    }
}
