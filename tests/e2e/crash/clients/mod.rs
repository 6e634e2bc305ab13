//! Clients that bear the end of a server at any moment: what they asked, and what they were told.

mod publisher;
mod subscriber;

use sluice_schema::position::Cursor;
use tokio::{sync::watch, time::timeout};

use self::publisher::Publisher;
pub(crate) use self::subscriber::{CHANGED, CHECKS, EVENTS, Subscriber};
use crate::harness::{DEADLINE, Server, soon};

/// What each client asks after the last crash.
const LAST_QUESTIONS: usize = 5;

/// Who asks and watches.
pub(crate) const PERSON: &str = "member";

/// Where one life of a server can be reached.
pub(crate) struct Door {
    http: reqwest::Client,
    graphql: String,
    subscriptions: String,
    token: String,
}

impl Door {
    pub(crate) fn of(server: &Server) -> Self {
        Self {
            http: server.http.clone(),
            graphql: server.url("/graphql"),
            subscriptions: server.subscriptions_url().to_owned(),
            token: server.token(PERSON).to_owned(),
        }
    }
}

/// How much the clients saw in this round: acknowledgements and frames.
#[derive(Default)]
pub(crate) struct Observed(watch::Sender<usize>);

impl Observed {
    pub(crate) fn one_more(&self) {
        self.0.send_modify(|count| *count += 1);
    }

    pub(crate) async fn reaches(&self, count: usize) {
        self.0.subscribe().wait_for(|seen| *seen >= count).await.expect("the sender is here");
    }
}

/// Some that ask, and one that listens.
pub(crate) struct Clients {
    pub(crate) publisher: Publisher,
    pub(crate) subscriber: Subscriber,
}

impl Clients {
    pub(crate) fn new(start: &Cursor) -> Self {
        Self { publisher: Publisher::default(), subscriber: Subscriber::new(start) }
    }

    /// Until no server is left. May be dropped at any time: what is not acknowledged is asked again.
    pub(crate) async fn run(&mut self, doors: &[Door], observed: &Observed) {
        tokio::join!(
            self.publisher.ask(doors, observed, usize::MAX),
            self.subscriber.watch(doors, observed, usize::MAX),
        );
    }

    /// A few more questions, then until everything that was asked is answered, and seen to be.
    pub(crate) async fn finish(&mut self, doors: &[Door]) {
        let observed = Observed::default();
        soon("the last acknowledgements", self.publisher.ask(doors, &observed, LAST_QUESTIONS)).await;
        let all_answered = self.subscriber.watch(doors, &observed, 2 * self.publisher.acknowledged());
        if timeout(DEADLINE, all_answered).await.is_err() {
            eprintln!("not all answers were seen: the evidence will say which");
        }
    }

    /// How far they are, in words.
    pub(crate) fn progress(&self) -> String {
        format!("{} acknowledged, {} frames", self.publisher.acknowledged(), self.subscriber.log.len())
    }
}
