//! The keys that are pressed.

use std::io;
use std::thread;
use std::time::Duration;

use ratatui::crossterm::event::{self, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

use super::Event;

/// How soon the thread notices that the screen is closed.
const PATIENCE: Duration = Duration::from_millis(100);

/// The action of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    Quit,
    Pause,
    NextGroup,
    PreviousNode,
    NextNode,
    ShorterSpan,
    LongerSpan,
    /// The terminal has another size: it is drawn again.
    Resize,
}

/// Sends the keys that are pressed until the receiver is gone. It needs a separate thread, since
/// waiting for a key blocks.
pub(super) fn listen(events: Sender<Event>) -> io::Result<()> {
    thread::Builder::new()
        .name("keys".to_owned())
        .spawn(move || {
            while !events.is_closed() {
                let input = match next() {
                    Ok(Some(input)) => Event::Input(input),
                    Ok(None) => continue,
                    Err(_) => {
                        // The terminal is gone.
                        let _ = events.blocking_send(Event::Closed);
                        return;
                    }
                };
                // Keys that come faster than the screen is drawn are dropped.
                if let Err(TrySendError::Closed(_)) = events.try_send(input) {
                    return;
                }
            }
        })?;
    Ok(())
}

fn next() -> io::Result<Option<Input>> {
    if !event::poll(PATIENCE)? {
        return Ok(None);
    }
    Ok(match event::read()? {
        event::Event::Key(key) if key.kind != KeyEventKind::Release => meaning(key),
        event::Event::Resize(..) => Some(Input::Resize),
        _ => None,
    })
}

fn meaning(key: KeyEvent) -> Option<Input> {
    // In raw mode the terminal sends no signal for it.
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    Some(match key.code {
        KeyCode::Char('c' | 'd') if control => Input::Quit,
        KeyCode::Char('q' | 'Q') | KeyCode::Esc => Input::Quit,
        KeyCode::Char('p' | 'P' | ' ') => Input::Pause,
        KeyCode::Char('g' | 'G') | KeyCode::Tab => Input::NextGroup,
        KeyCode::Up => Input::PreviousNode,
        KeyCode::Down => Input::NextNode,
        KeyCode::Left => Input::LongerSpan,
        KeyCode::Right => Input::ShorterSpan,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_meaning_and_others_have_none() {
        let plain = |code| meaning(KeyEvent::new(code, KeyModifiers::NONE));
        assert_eq!(plain(KeyCode::Char('q')), Some(Input::Quit));
        assert_eq!(plain(KeyCode::Char('p')), Some(Input::Pause));
        assert_eq!(plain(KeyCode::Char('g')), Some(Input::NextGroup));
        assert_eq!(plain(KeyCode::Up), Some(Input::PreviousNode));
        assert_eq!(plain(KeyCode::Down), Some(Input::NextNode));
        assert_eq!(plain(KeyCode::Left), Some(Input::LongerSpan));
        assert_eq!(plain(KeyCode::Right), Some(Input::ShorterSpan));
        for code in [KeyCode::Char('c'), KeyCode::Char('x'), KeyCode::F(1)] {
            assert_eq!(plain(code), None, "{code:?}");
        }
        let control = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(meaning(control), Some(Input::Quit));
    }
}
