//! One round: a new server, the load, then what people do without a push.

use crate::{
    baselines::{self, Baselines},
    disk,
    figures::Latencies,
    installation::Home,
    load::{self, Measured},
    plan::Plan,
    published,
    server::Server,
};

pub(crate) struct Round {
    /// One page and fdatasync on the server's disk, before the server starts.
    pub(crate) disk: Latencies,
    pub(crate) load: Measured,
    pub(crate) baselines: Baselines,
    /// Of the machine, at the round's begin (proc_loadavg(5)).
    pub(crate) load_average: String,
}

pub(crate) async fn run(plan: &Plan) -> Result<Round, String> {
    // Beside the build, on a disk: /tmp may be memory, where a commit costs nothing.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).map_err(|error| format!("no directory: {error}"))?;
    let load_average = load_average();
    let disk = disk::sync_times(dir.path())?;
    let home = Home::in_directory(dir).await;
    published::make_topic(&home).await?;
    let server = Server::start(home).await?;
    let load = load::run(plan, &server).await?;
    let baselines = baselines::run(plan, &server).await?;
    server.stop().await?;
    Ok(Round { disk, load, baselines, load_average })
}

fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("unknown").to_owned()
}
