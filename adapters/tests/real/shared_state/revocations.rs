use std::sync::Arc;

use jiff::Timestamp;
use sluice_adapters::postgres::PostgresRevocations;
use sluice_schema::token::TokenId;
use sluice_subscriptions::revocations::{Revocation, Revoked, TokenRevocations};

use super::Database;

async fn two_nodes() -> ([Arc<dyn TokenRevocations>; 2], Database) {
    let database = Database::new().await;
    let one: Arc<dyn TokenRevocations> = Arc::new(PostgresRevocations::open(&database.node().await));
    let other: Arc<dyn TokenRevocations> = Arc::new(PostgresRevocations::open(&database.node().await));
    ([one, other], database)
}

sluice_subscriptions::token_revocations_contract!(two_nodes);

/// It is revoked again and again, for a node may have begun to listen only after the first.
#[tokio::test]
async fn another_node_hears_of_it() {
    let ([one, other], _database) = two_nodes().await;
    let revocation = Revocation {
        tenant: "acme".parse().unwrap(),
        revoked: Revoked::Token(TokenId::of("t-1").unwrap()),
        kept_until: Timestamp::from_second(2_000_000_000).unwrap(),
    };
    let revoking = async {
        let mut again = tokio::time::interval(std::time::Duration::from_millis(50));
        loop {
            again.tick().await;
            one.revoke(&revocation).await.unwrap();
        }
    };
    let heard = async {
        tokio::select! {
            () = other.stirred() => {}
            () = revoking => {}
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), heard).await.expect("it is heard of");
}
