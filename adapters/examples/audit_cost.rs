use jiff::Timestamp;
use sluice_adapters::sqlite::{DataDir, SqliteAudit};
use sluice_schema::{access::Mask, viewer::PurposeOfUse};
use sluice_subscriptions::audit::*;
use std::{sync::Arc, time::Instant};

fn cpu() -> (f64, f64) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() / 100.0, fields[12].parse::<f64>().unwrap() / 100.0)
}

fn recipient(user: usize) -> Recipient {
    Recipient {
        user: format!("u-member-{user:05}").parse().unwrap(),
        purpose: PurposeOfUse::PatientRequest,
        transport: "graphql-ws".into(),
        seen: None,
    }
}

fn record(n: usize, user: usize, count: usize, shared: &Option<Arc<Shared>>) -> AuditRecord {
    AuditRecord {
        at: Timestamp::now(),
        tenant: "demo".parse().unwrap(),
        action: Action::Deliver {
            patient: Some(format!("m-{user:05}").parse().unwrap()),
            event_id: format!("01a20c0e-7e5b-7c11-9b0e-{n:012x}"),
            event_type: "sluice.eligibility.v1.EligibilityCheckChanged".into(),
            cursor: format!("AWx8AAAAAAAAAAEAAAAAAAAAAQ{n:020x}"),
            seen: Seen::new(Mask::default(), "1"),
            audience: shared
                .clone()
                .unwrap_or_else(|| Arc::new(Audience::of((0..count).map(|i| recipient(user + i)).collect()))),
        },
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let args: Vec<usize> = std::env::args().skip(1).map(|a| a.parse().unwrap()).collect();
    let (users, batch, total, count) = (args[0], args[1], args[2], args[3]);
    let home = tempfile::tempdir_in(std::env::var("HOME_DIR").unwrap_or("/tmp".into())).unwrap();
    let audit = SqliteAudit::open(&DataDir::open(home.path().join("data")).unwrap(), "node-1").await.unwrap();
    let shared = share(count);
    let mut making = 0.0;
    let (u0, s0) = cpu();
    let begun = Instant::now();
    let mut n = 0;
    let mut x = 88172645463325252u64;
    while n < total {
        let t = Instant::now();
        let records = (0..batch)
            .map(|i| {
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                record(n + i, (x % users as u64) as usize, count, &shared)
            })
            .collect();
        making += t.elapsed().as_secs_f64();
        audit.append(records).await.unwrap();
        n += batch;
    }
    let wall = begun.elapsed().as_secs_f64();
    let (u1, s1) = cpu();
    let per = |s: f64| s * 1e6 / n as f64;
    println!(
        "users {users} batch {batch} records {n} recipients {count}: {:.0}/s, cpu {:.2} us/record (user {:.2}, sys {:.2}; of it making {:.2})",
        n as f64 / wall,
        per(u1 - u0 + s1 - s0),
        per(u1 - u0),
        per(s1 - s0),
        per(making)
    );
    let size: u64 = std::fs::read_dir(home.path().join("data"))
        .unwrap()
        .filter_map(|e| {
            let e = e.unwrap();
            e.file_name().to_str().unwrap().starts_with("audit").then(|| e.metadata().unwrap().len())
        })
        .sum();
    println!("bytes/record on disk {}", size / n as u64);
    audit.close().await;
}
type Shared = Audience;
fn share(count: usize) -> Option<Arc<Shared>> {
    (count > INLINE && std::env::var("FRESH").is_err())
        .then(|| Arc::new(Audience::of((0..count).map(recipient).collect())))
}
