//! The chat on a whole terminal.

use std::io;
use std::sync::mpsc::{Receiver, Sender};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{
    self, DisableBracketedPaste, EnableBracketedPaste, Event, KeyCode, KeyEvent, KeyEventKind,
    KeyModifiers,
};
use ratatui::crossterm::execute;
use teatime::{ConnectionState, SessionEvent};
use teatime_chat::plain_text;
use tui_input::{Input, InputRequest};

use super::room::{Room, diverged, fault_recorded};
use super::screen::Screen;
use super::wake::{Wake, wait};
use crate::terminal::Failure;

/// Rows that one page up or down scrolls.
const PAGE: usize = 10;

/// Runs until the user leaves or the session fails. Restores the terminal at the end, also after a panic.
pub(crate) fn run(room: Room, sender: Sender<Wake>, wakes: &Receiver<Wake>) -> Result<(), Failure> {
    let mut terminal = ratatui::init();
    // A terminal that does not support this pastes key by key.
    let _ = execute!(io::stdout(), EnableBracketedPaste);
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            if sender.send(Wake::Terminal(event)).is_err() {
                return;
            }
        }
    });
    let result = Tui::new(room).run(&mut terminal, wakes);
    let _ = execute!(io::stdout(), DisableBracketedPaste);
    ratatui::restore();
    result
}

struct Tui {
    room: Room,
    screen: Screen,
    /// This client has diverged: shown until the connection has other news.
    divergence: Option<String>,
    /// The notice on the screen is about the connection.
    is_in_trouble: bool,
    /// Something on the screen is out of date.
    changed: bool,
    leaving: bool,
}

impl Tui {
    fn new(room: Room) -> Self {
        let screen = Screen {
            badge: room.badge(),
            room: room.name().to_owned(),
            encrypted: room.is_encrypted(),
            nickname: String::new(),
            participants: 0,
            connection: ConnectionState::Connecting.name().to_owned(),
            progress: None,
            history: Vec::new(),
            scrolled: 0,
            input: Input::default(),
            notice: None,
            link: String::new(),
            qr_wanted: false,
            colour: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        };
        let (divergence, is_in_trouble) = (None, false);
        Self { room, screen, divergence, is_in_trouble, changed: true, leaving: false }
    }

    fn run(
        mut self,
        terminal: &mut DefaultTerminal,
        wakes: &Receiver<Wake>,
    ) -> Result<(), Failure> {
        while !self.leaving {
            self.room.step()?;
            self.take_events()?;
            self.show_connection();
            if std::mem::take(&mut self.changed) {
                let drawn = terminal.draw(|frame| self.screen.draw(frame));
                drawn.map_err(|error| Failure::Failed(format!("the terminal: {error}")))?;
            }
            self.handle(wait(&self.room, wakes));
        }
        self.room.leave();
        Ok(())
    }

    fn notify(&mut self, notice: String) {
        self.screen.notice = Some(notice);
        self.is_in_trouble = false;
    }

    fn take_events(&mut self) -> Result<(), Failure> {
        while let Some(event) = self.room.poll_event() {
            self.changed = true;
            match event {
                SessionEvent::Connection(ConnectionState::Failed, Some(reason)) => {
                    return Err(Failure::Failed(reason.to_string()));
                }
                SessionEvent::Connection(ConnectionState::Live, _) => {
                    let divergence = self.divergence.take();
                    // Other notices stay.
                    if std::mem::take(&mut self.is_in_trouble) || divergence.is_some() {
                        self.screen.notice = divergence;
                    }
                }
                SessionEvent::Connection(_, Some(reason)) => {
                    self.screen.notice = Some(format!("{reason}; trying again"));
                    self.is_in_trouble = true;
                }
                SessionEvent::Diverged(divergence) => {
                    // The connection is live again only after this.
                    self.divergence = Some(diverged(&divergence));
                }
                SessionEvent::Fault(fault) => self.screen.notice = Some(fault.to_string()),
                SessionEvent::NewerVersion(newer) => self.notify(newer.to_string()),
                SessionEvent::NotPersisted(why) => self.notify(why.to_string()),
                SessionEvent::FaultRecorded(recorded) => {
                    self.screen.notice = Some(fault_recorded(&recorded));
                }
                _ => {}
            }
        }
        let mut updated = false;
        while self.room.poll_update().is_some() {
            updated = true;
        }
        if updated && let Some(model) = self.room.model() {
            let history = model.history();
            self.screen.history = history.iter().map(|line| plain_text(&line.html)).collect();
            self.screen.participants = model.participants();
            self.screen.nickname = self.room.nickname();
            self.screen.link = self.room.link();
            self.changed = true;
        }
        Ok(())
    }

    fn show_connection(&mut self) {
        let session = self.room.session();
        let state = session.connection_state();
        let since = session.reconnecting_for().filter(|_| state == ConnectionState::Reconnecting);
        let text = match since {
            Some(since) => format!("reconnecting for {} s", since.as_secs()),
            None => state.name().replace('_', " "),
        };
        let progress = (state == ConnectionState::CatchingUp).then(|| session.progress());
        if text != self.screen.connection || progress != self.screen.progress {
            self.screen.connection = text;
            self.screen.progress = progress;
            self.changed = true;
        }
    }

    fn handle(&mut self, wakes: Vec<Wake>) {
        // Pasted text may arrive key by key: inserting it at once is fast.
        let mut typed = String::new();
        for wake in wakes {
            match wake {
                Wake::Terminal(Event::Key(key)) if is_text(&key).is_some() => {
                    typed.extend(is_text(&key));
                }
                Wake::Terminal(Event::Paste(text)) => typed.push_str(&text),
                Wake::Terminal(Event::Key(key)) if key.kind != KeyEventKind::Release => {
                    self.insert(&std::mem::take(&mut typed));
                    self.press(&key);
                }
                Wake::Terminal(_) => self.changed = true,
                Wake::Signal => self.leaving = true,
                _ => {}
            }
        }
        self.insert(&typed);
    }

    /// Inserts text at the cursor; a line break becomes a space.
    fn insert(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        let text = text.replace("\r\n", " ").replace(['\r', '\n', '\t'], " ");
        let cursor = self.screen.input.cursor();
        let mut value: String = self.screen.input.value().chars().take(cursor).collect();
        value.push_str(&text);
        value.extend(self.screen.input.value().chars().skip(cursor));
        let cursor = cursor + text.chars().count();
        self.screen.input = Input::new(value).with_cursor(cursor);
        self.changed = true;
    }

    fn press(&mut self, key: &KeyEvent) {
        self.changed = true;
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let request = match key.code {
            KeyCode::Char('c' | 'd') if control => return self.leaving = true,
            KeyCode::Esc => return self.leaving = true,
            KeyCode::Enter => return self.send(),
            KeyCode::F(2) => return self.screen.qr_wanted = !self.screen.qr_wanted,
            KeyCode::PageUp => return self.screen.scrolled += PAGE,
            KeyCode::PageDown => {
                self.screen.scrolled = self.screen.scrolled.saturating_sub(PAGE);
                return;
            }
            KeyCode::Char('u') if control => InputRequest::DeleteLine,
            KeyCode::Char('w') if control => InputRequest::DeletePrevWord,
            KeyCode::Char('a') if control => InputRequest::GoToStart,
            KeyCode::Char('e') if control => InputRequest::GoToEnd,
            KeyCode::Left if control => InputRequest::GoToPrevWord,
            KeyCode::Right if control => InputRequest::GoToNextWord,
            KeyCode::Left => InputRequest::GoToPrevChar,
            KeyCode::Right => InputRequest::GoToNextChar,
            KeyCode::Home => InputRequest::GoToStart,
            KeyCode::End => InputRequest::GoToEnd,
            KeyCode::Backspace => InputRequest::DeletePrevChar,
            KeyCode::Delete => InputRequest::DeleteNextChar,
            _ => return,
        };
        self.screen.input.handle(request);
    }

    /// Sends the line. If that fails the line stays.
    fn send(&mut self) {
        match self.room.say(self.screen.input.value()) {
            Ok(()) => {
                self.screen.input.reset();
                self.screen.scrolled = 0;
                self.screen.notice = None;
            }
            Err(error) => self.screen.notice = Some(format!("not sent: {error}")),
        }
    }
}

/// The character that a key types.
fn is_text(key: &KeyEvent) -> Option<char> {
    let plain = (key.modifiers - KeyModifiers::SHIFT).is_empty();
    match key.code {
        KeyCode::Char(character) if plain && key.kind != KeyEventKind::Release => Some(character),
        _ => None,
    }
}
