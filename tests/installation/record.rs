//! What an installation has on record, read past the server: from its files, or from its database.

use std::collections::BTreeMap;

use sqlx::{ConnectOptions, SqliteConnection, sqlite::SqliteConnectOptions};

use super::Home;

/// An event of the store: partition, seq and the encoded header.
pub(crate) type Stored = (u16, u64, Vec<u8>);

impl Home {
    /// Every event, by partition and seq.
    pub(crate) async fn events(&self) -> Vec<Stored> {
        let rows: Vec<(i64, i64, Vec<u8>)> = match self.database() {
            Some(database) => {
                let query = "SELECT partition::bigint, seq, header FROM sluice.events ORDER BY partition, seq";
                sqlx::query_as(query).fetch_all(&mut database.connect().await).await.unwrap()
            }
            None => {
                let query = "SELECT partition, seq, header FROM events ORDER BY place";
                sqlx::query_as(query).fetch_all(&mut self.file("sluice.db").await).await.unwrap()
            }
        };
        let stored = |(partition, seq, header): (i64, i64, Vec<u8>)| {
            (u16::try_from(partition).unwrap(), seq.unsigned_abs(), header)
        };
        rows.into_iter().map(stored).collect()
    }

    /// Every record of the audit trail, as JSON.
    pub(crate) async fn audit_bodies(&self) -> Vec<String> {
        match self.database() {
            Some(database) => {
                let query = "SELECT body FROM sluice.audit_records";
                sqlx::query_scalar(query).fetch_all(&mut database.connect().await).await.unwrap()
            }
            None => {
                let query = "SELECT body FROM records";
                sqlx::query_scalar(query).fetch_all(&mut self.file("audit.db").await).await.unwrap()
            }
        }
    }

    /// Who was denied something of a member, once for each time.
    pub(crate) async fn audit_denied(&self, member: &str) -> Vec<String> {
        match self.database() {
            Some(database) => {
                let query = "SELECT body::json #>> '{recipient,user}'
                             FROM sluice.audit_patients p JOIN sluice.audit_records r USING (writer, number)
                             WHERE p.tenant = $1 AND p.patient = $2 AND body::json ->> 'action' = 'deny'";
                let query = sqlx::query_scalar(query).bind(self.tenant()).bind(member);
                query.fetch_all(&mut database.connect().await).await.unwrap()
            }
            None => {
                let query = "SELECT body ->> '$.recipient.user' FROM audit_patients JOIN records USING (writer, number)
                             WHERE audit_patients.tenant = ?1 AND patient = ?2 AND body ->> 'action' = 'deny'";
                let query = sqlx::query_scalar(query).bind(self.tenant()).bind(member);
                query.fetch_all(&mut self.file("audit.db").await).await.unwrap()
            }
        }
    }

    /// The audiences that records of the audit trail name: JSON, by the name in hexadecimal digits.
    pub(crate) async fn audit_audiences(&self) -> BTreeMap<String, String> {
        let rows: Vec<(String, String)> = match self.database() {
            Some(database) => {
                let query = "SELECT encode(digest, 'hex'), body FROM sluice.audit_audiences";
                sqlx::query_as(query).fetch_all(&mut database.connect().await).await.unwrap()
            }
            None => {
                let query = "SELECT lower(hex(digest)), body FROM audiences";
                sqlx::query_as(query).fetch_all(&mut self.file("audit.db").await).await.unwrap()
            }
        };
        rows.into_iter().collect()
    }

    async fn file(&self, name: &str) -> SqliteConnection {
        SqliteConnectOptions::new().filename(self.data_dir().join(name)).read_only(true).connect().await.unwrap()
    }
}
