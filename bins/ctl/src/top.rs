//! `gagglectl top`: the cluster, live on the terminal.
//!
//! Two sources feed one channel: a thread with the [`keys`] that are pressed, and a task with the
//! [`poll`]ed samples. The [`model`] takes both in and [`draw`] shows it. Only the poller asks
//! nodes, at its interval or when a key changes the request.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;

use ratatui::DefaultTerminal;
use tokio::sync::{mpsc, watch};

use crate::cli::TopArgs;
use crate::client::Client;
use crate::outcome::{Failure, Outcome};

use self::keys::Input;
use self::model::{Model, Step};
use self::poll::{Sample, Wish};

mod draw;
mod history;
mod keys;
mod model;
mod plots;
mod poll;

/// How many keys and samples may wait to be drawn.
const WAITING: usize = 16;

/// A reason to draw the screen again.
enum Event {
    Input(Input),
    Sample(Box<Sample>),
    /// The terminal is gone, or the process is told to end.
    Closed,
}

pub(crate) async fn run(client: &Client, args: &TopArgs) -> Result<Outcome, Failure> {
    if !can_draw() {
        return Err(Failure::Usage(
            "top draws on a terminal, and standard output is none that it can draw on: \
             use `gagglectl cluster --json` or `gagglectl stats --json`"
                .to_owned(),
        ));
    }
    // This happens before the screen is taken over, so that a failure is an ordinary error.
    let first = poll::first(client, args).await?;
    let mut model = Model::new(args, has_colours());
    model.take(first);
    let (events, mut received) = mpsc::channel(WAITING);
    let wish = watch::Sender::new(model.wish());
    let polling = tokio::spawn(poll::run(
        client.clone(),
        args.every,
        wish.subscribe(),
        events.clone(),
    ));
    end_by_signal(&events)?;
    let mut terminal = ratatui::try_init()?;
    let result = match keys::listen(events) {
        Ok(()) => show(&mut terminal, &mut model, &mut received, &wish).await,
        Err(error) => Err(error),
    };
    polling.abort();
    ratatui::try_restore()?;
    result?;
    Ok(Outcome::Complete)
}

/// Draws after each event, until one of them ends it.
async fn show(
    terminal: &mut DefaultTerminal,
    model: &mut Model,
    events: &mut mpsc::Receiver<Event>,
    wish: &watch::Sender<Arc<Wish>>,
) -> io::Result<()> {
    loop {
        terminal.draw(|frame| draw::draw(frame, model))?;
        let step = match events.recv().await {
            Some(Event::Input(input)) => model.press(input),
            Some(Event::Sample(sample)) => {
                model.take(*sample);
                Step::Draw
            }
            Some(Event::Closed) | None => Step::Quit,
        };
        match step {
            Step::Draw => {}
            Step::Ask => {
                wish.send_replace(model.wish());
            }
            Step::Quit => return Ok(()),
        }
    }
}

/// Ends the display when the process is told to end, so that the terminal is left as it was.
#[cfg(unix)]
fn end_by_signal(events: &mpsc::Sender<Event>) -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    for kind in [SignalKind::terminate(), SignalKind::hangup()] {
        let mut signals = signal(kind)?;
        let events = events.clone();
        tokio::spawn(async move {
            if signals.recv().await.is_some() {
                // An error means that it has ended already.
                let _ = events.send(Event::Closed).await;
            }
        });
    }
    Ok(())
}

#[cfg(not(unix))]
fn end_by_signal(_: &mpsc::Sender<Event>) -> io::Result<()> {
    Ok(())
}

fn can_draw() -> bool {
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    io::stdout().is_terminal() && io::stdin().is_terminal() && !dumb
}

/// Whether colours are wanted: <https://no-color.org>.
fn has_colours() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
