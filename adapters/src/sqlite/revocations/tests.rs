use std::sync::Arc;

use sluice_schema::token::TokenId;
use sluice_subscriptions::revocations::Revoked;

use super::*;
use crate::sqlite::test_support::Home;

mod contract {
    use super::*;

    async fn empty() -> ([Arc<dyn TokenRevocations>; 2], Home) {
        let home = Home::new();
        let node: Arc<dyn TokenRevocations> = Arc::new(open(&home).await);
        ([node.clone(), node], home)
    }

    sluice_subscriptions::token_revocations_contract!(empty);
}

async fn open(home: &Home) -> SqliteRevocations {
    SqliteRevocations::open(&home.data).await.unwrap()
}

#[tokio::test]
async fn what_was_revoked_survives_a_crash() {
    let home = Home::new();
    let revocation = Revocation {
        tenant: "acme".parse().unwrap(),
        revoked: Revoked::Token(TokenId::of("a").unwrap()),
        kept_until: Timestamp::from_second(2_000_000_000).unwrap(),
    };
    open(&home).await.revoke(&revocation).await.unwrap();
    let crashed = home.after_crash(SCHEMA.file);
    assert_eq!(open(&crashed).await.behind(0).await.unwrap(), [(1, revocation)]);
}
