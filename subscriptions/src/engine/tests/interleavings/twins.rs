//! What an engine works with, away or erased when a test wants it to be.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use sluice_schema::{
    error::ClientError,
    event::RecordedEvent,
    ids::TenantId,
    position::{Epoch, Partition, ReadVector, Seq},
    proto::header::RoutingKey,
    sealed::DataKey,
};
use tokio::sync::watch;

use super::super::bench::Probe;
use crate::{
    deliver::{Gone, Subscriber},
    log::{EventLog, LogError},
    opened::{KeysUnavailable, PayloadKeys},
};

/// A log that can't be read for as long as a test says so.
pub(super) struct Outage {
    log: Arc<dyn EventLog>,
    away: AtomicBool,
}

impl Outage {
    pub(super) fn new(log: Arc<dyn EventLog>) -> Self {
        Self { log, away: AtomicBool::new(false) }
    }

    pub(super) fn set(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    fn reach(&self) -> Result<&dyn EventLog, LogError> {
        let away = || LogError::Unavailable("a test switched it off".into());
        if self.away.load(Ordering::SeqCst) { Err(away()) } else { Ok(self.log.as_ref()) }
    }
}

#[async_trait]
impl EventLog for Outage {
    fn epoch(&self) -> Epoch {
        self.log.epoch()
    }

    fn partitions(&self) -> Partition {
        self.log.partitions()
    }

    fn heads(&self) -> watch::Receiver<ReadVector> {
        self.log.heads()
    }

    async fn earliest(&self) -> Result<ReadVector, LogError> {
        self.reach()?.earliest().await
    }

    async fn read(&self, partition: Partition, after: Seq, limit: usize) -> Result<Vec<Arc<RecordedEvent>>, LogError> {
        self.reach()?.read(partition, after, limit).await
    }
}

/// One key for everybody, which members can lose for ever, or for a while.
pub(super) struct Erasable {
    key: DataKey,
    /// By tenant and member.
    erased: Mutex<HashSet<(String, String)>>,
    /// By member.
    away: Mutex<HashSet<String>>,
}

impl Erasable {
    pub(super) fn new(key: DataKey) -> Self {
        Self { key, erased: Mutex::default(), away: Mutex::default() }
    }

    pub(super) fn erase(&self, tenant: &str, member: &str) {
        self.erased.lock().unwrap_or_else(PoisonError::into_inner).insert((tenant.into(), member.into()));
    }

    pub(super) fn take_away(&self, member: &str) {
        self.away.lock().unwrap_or_else(PoisonError::into_inner).insert(member.into());
    }

    pub(super) fn give_back(&self) {
        self.away.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[async_trait]
impl PayloadKeys for Erasable {
    async fn key(&self, tenant: &TenantId, routing_key: &RoutingKey) -> Result<Option<DataKey>, KeysUnavailable> {
        if self.away.lock().unwrap_or_else(PoisonError::into_inner).contains(&routing_key.id) {
            return Err(KeysUnavailable("a test took them away".into()));
        }
        let whose = (tenant.to_string(), routing_key.id.clone());
        let erased = self.erased.lock().unwrap_or_else(PoisonError::into_inner).contains(&whose);
        Ok((!erased).then(|| self.key.clone()))
    }
}

/// A probe that notes, for each event that it takes, how many changes of rights had begun by then.
pub(super) struct Stamped {
    pub(super) probe: Arc<Probe>,
    changes: Arc<AtomicUsize>,
    stamps: Mutex<Vec<usize>>,
}

impl Stamped {
    pub(super) fn new(probe: Arc<Probe>, changes: Arc<AtomicUsize>) -> Self {
        Self { probe, changes, stamps: Mutex::default() }
    }

    pub(super) fn got(&self) -> Vec<(usize, Bytes)> {
        let stamps = self.stamps.lock().unwrap_or_else(PoisonError::into_inner).clone();
        stamps.into_iter().zip(self.probe.raw()).collect()
    }
}

impl Subscriber for Stamped {
    fn next(&self, payload: &Bytes, place: &ReadVector) -> Result<(), Gone> {
        Subscriber::next(self.probe.as_ref(), payload, place)?;
        let changes = self.changes.load(Ordering::SeqCst);
        self.stamps.lock().unwrap_or_else(PoisonError::into_inner).push(changes);
        Ok(())
    }

    fn end(&self, error: Option<ClientError>) {
        Subscriber::end(self.probe.as_ref(), error);
    }
}
