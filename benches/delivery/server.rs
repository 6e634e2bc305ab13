//! A server in a process of its own.

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    path::Path,
    process::{Child, ChildStdin, Command as Process, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError, TryRecvError},
    time::Duration,
};

use crate::{
    command::{Answer, Command},
    usage::Usage,
};

const START: Duration = Duration::from_secs(60);

/// Killed where it is dropped; it ends by itself where the orchestrator does.
pub(crate) struct Server {
    child: Child,
    commands: ChildStdin,
    answers: Receiver<Answer>,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts a process, and waits until it says where it is. What it logs goes into a file.
    pub(crate) fn start(mut process: Process, log: &Path) -> Result<Self, String> {
        let log = File::create(log).map_err(|error| error.to_string())?;
        process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut child = process.spawn().map_err(|error| format!("{process:?}: {error}"))?;
        let (Some(commands), Some(out)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("no pipes".into());
        };
        let (answer, answers) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                // What is not for us is what Sluice shows to people.
                if let Ok(said) = serde_json::from_str(&line)
                    && answer.send(said).is_err()
                {
                    return;
                }
            }
        });
        let mut server = Self { child, commands, answers, address: ([127, 0, 0, 1], 0).into() };
        match server.answer(START)? {
            Answer::Address(address) => server.address = address,
            other => return Err(format!("no address but {other:?}")),
        }
        Ok(server)
    }

    pub(crate) fn tell(&mut self, command: &Command) -> Result<(), String> {
        let line = serde_json::to_string(command).map_err(|error| error.to_string())?;
        writeln!(self.commands, "{line}").map_err(|error| format!("the server is gone: {error}"))
    }

    /// What it said since, without waiting.
    pub(crate) fn said(&mut self) -> Result<Option<Answer>, String> {
        match self.answers.try_recv() {
            Ok(Answer::Failed(why)) => Err(why),
            Ok(answer) => Ok(Some(answer)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err("the server ended".into()),
        }
    }

    pub(crate) fn answer(&mut self, wait: Duration) -> Result<Answer, String> {
        match self.answers.recv_timeout(wait) {
            Ok(Answer::Failed(why)) => Err(why),
            Ok(answer) => Ok(answer),
            Err(RecvTimeoutError::Timeout) => Err("the server does not answer".into()),
            Err(RecvTimeoutError::Disconnected) => Err("the server ended".into()),
        }
    }

    pub(crate) fn usage(&self) -> Result<Usage, String> {
        Usage::of(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
