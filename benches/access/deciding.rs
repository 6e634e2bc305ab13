//! What a decision costs: one that is kept, and ten thousand that nobody asked for before.

use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use sluice_schema::{
    access::{Mask, table},
    ids::MemberId,
    viewer::{PurposeOfUse, Viewer},
};
use sluice_subscriptions::access::{Access, Question};
use sqlx::{Connection, PgConnection};

use crate::{
    house::{House, MEMBER},
    installation::on_real_parts,
    report::Report,
};

const ROUNDS: usize = 1_000_000;

/// How long it may take until changes are known.
const PATIENCE: Duration = Duration::from_secs(20);

fn viewer(house: &House, user: &str) -> Result<Viewer, String> {
    Ok(Viewer {
        tenant: house.gateway.tenant.clone(),
        user: user.parse().map_err(|_| "not a user's id")?,
        actor: None,
        purpose: PurposeOfUse::PatientRequest,
        expires: Timestamp::MAX.into(),
        token: Default::default(),
    })
}

fn demand() -> Mask {
    table("sluice.eligibility.v1.EligibilityCheck").map_or(Mask::NOTHING, |table| table.label.mask())
}

/// One viewer's decision about one member, again and again, as each event of a subscription takes it.
pub(crate) async fn warm(house: &House, report: &mut Report) -> Result<(), String> {
    house.write(vec![house.family("u-warm", None)]).await?;
    let access = Access::new(house.gateway.ports.relationships.clone(), PATIENCE);
    let (viewer, member) = (viewer(house, "u-warm")?, MEMBER.parse::<MemberId>().map_err(|_| "not a member's id")?);
    let question = Question { viewer: &viewer, member: Some(&member), demand: demand() };
    let begun = Instant::now();
    let mut subscription = access.subscription();
    while subscription.decided_before(&question).is_none() {
        access.decide(&[question]).await.map_err(|error| error.to_string())?;
        if begun.elapsed() > PATIENCE {
            return Err("no decision is kept".into());
        }
    }
    let begun = Instant::now();
    for _ in 0..ROUNDS {
        black_box(subscription.decided_before(black_box(&question)));
    }
    report.figure("a warm decision", "ns", 100.0, begun.elapsed().as_secs_f64() * 1e9 / ROUNDS as f64);
    Ok(())
}

/// Each viewer is one member, and asks at the same time as all others.
pub(crate) async fn cold(house: &House, count: usize, report: &mut Report) -> Result<(), String> {
    let ids: Vec<_> = (0..count).map(|number| (format!("u-cold-{number}"), format!("m-cold-{number}"))).collect();
    for some in ids.chunks(1000) {
        let relates =
            |(user, member): &(String, String)| house.relates(member, "self", house.object("user", user), None);
        house.write(some.iter().map(relates).collect()).await?;
    }
    plan_for_what_there_is().await?;
    let access = Arc::new(Access::new(house.gateway.ports.relationships.clone(), PATIENCE));
    let requests = "sluice_spicedb_requests_total";
    let before = house.counted(requests).await;
    let (begun, mut asking) = (Instant::now(), tokio::task::JoinSet::new());
    for (user, member) in ids {
        let (access, viewer) = (access.clone(), viewer(house, &user)?);
        let member: MemberId = member.parse().map_err(|_| "not a member's id")?;
        asking.spawn(async move {
            let question = Question { viewer: &viewer, member: Some(&member), demand: demand() };
            let decided = access.decide_for(&[question]).await.map_err(|error| error.to_string())?;
            if decided[0].mask.visibilities.is_empty() {
                Err("a member may not see herself".to_owned())
            } else {
                Ok(())
            }
        });
    }
    for answer in asking.join_all().await {
        answer?;
    }
    let took = begun.elapsed().as_secs_f64();
    report.figure(&format!("{count} viewers' decisions about as many members, cold"), "s", 3.0, took);
    if on_real_parts() {
        report.figure("… requests to SpiceDB", "", 200.0, (house.counted(requests).await - before) as f64);
    }
    Ok(())
}

/// As an operator does after a first bulk load (docs/operate.md): until then PostgreSQL plans for tables that are still empty.
async fn plan_for_what_there_is() -> Result<(), String> {
    let Ok(database) = std::env::var("SLUICE_TEST_SPICEDB_POSTGRES_URL") else { return Ok(()) };
    let mut database = PgConnection::connect(&database).await.map_err(|error| error.to_string())?;
    sqlx::query("ANALYZE").execute(&mut database).await.map(drop).map_err(|error| error.to_string())
}
