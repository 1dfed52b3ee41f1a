//! The chat on a whole terminal.

use std::io;
use std::sync::mpsc::{Receiver, Sender};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use teatime::{ConnectionState, SessionEvent};
use teatime_chat::{Line, plain_text, printable};
use tui_input::{Input, InputRequest};

use super::job;
use super::room::{Room, diverged, fault_recorded};
use super::screen::Screen;
use super::wake::{Wake, wait};
use crate::terminal::Failure;

/// Rows that one page up or down scrolls.
const PAGE: usize = 10;

/// Runs until the user leaves or the session fails. Restores the terminal at the end, also after a panic.
pub(crate) fn run(room: Room, sender: Sender<Wake>, wakes: &Receiver<Wake>) -> Result<(), Failure> {
    let mut terminal = job::enter().map_err(|error| failed(&error))?;
    job::watch(sender.clone());
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            if sender.send(Wake::Terminal(event)).is_err() {
                return;
            }
        }
        let _ = sender.send(Wake::Gone);
    });
    let result = Tui::new(room).run(&mut terminal, wakes);
    job::leave();
    result
}

fn failed(error: &io::Error) -> Failure {
    Failure::Failed("IO", format!("the terminal: {error}"))
}

struct Tui {
    room: Room,
    screen: Screen,
    /// The number of the way to this machine whose link is shown.
    way: usize,
    are_ways_named: bool,
    /// This client has diverged: shown until the connection has other news.
    divergence: Option<String>,
    /// The notice on the screen is about the connection.
    is_in_trouble: bool,
    /// Something on the screen is out of date.
    changed: bool,
    leaving: bool,
    /// The user, or another program, wants to stop the program for a while.
    stopping: bool,
    /// The program was stopped, and the shell may have changed the terminal.
    continued: bool,
    is_terminal_gone: bool,
}

impl Tui {
    fn new(room: Room) -> Self {
        let screen = Screen {
            badge: room.badge(),
            room: printable(room.name()),
            encrypted: room.is_encrypted(),
            nickname: String::new(),
            participants: 0,
            connection: ConnectionState::Connecting.name().to_owned(),
            progress: None,
            history: Vec::new(),
            scrolled: 0,
            input: Input::default(),
            typing: Vec::new(),
            notice: None,
            link: String::new(),
            local_only: None,
            way: None,
            qr_wanted: false,
            colour: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        };
        let (divergence, is_in_trouble) = (None, false);
        let (leaving, stopping, continued, is_terminal_gone) = (false, false, false, false);
        Self {
            room,
            screen,
            way: 0,
            are_ways_named: false,
            divergence,
            is_in_trouble,
            changed: true,
            leaving,
            stopping,
            continued,
            is_terminal_gone,
        }
    }

    fn run(
        mut self,
        terminal: &mut DefaultTerminal,
        wakes: &Receiver<Wake>,
    ) -> Result<(), Failure> {
        while !self.leaving {
            self.room.step()?;
            if let Some(notice) = self.room.take_move() {
                self.screen.notice = Some(notice.to_owned());
                self.changed = true;
            }
            self.take_events()?;
            self.show_connection();
            if std::mem::take(&mut self.changed) {
                let drawn = terminal.draw(|frame| self.screen.draw(frame));
                drawn.map_err(|error| failed(&error))?;
            }
            self.handle(wait(&self.room, wakes));
            self.stop_and_continue(terminal).map_err(|error| failed(&error))?;
        }
        self.room.leave();
        // The terminal is gone, so nothing more can be said there.
        if self.is_terminal_gone { Err(Failure::Reported) } else { Ok(()) }
    }

    /// Stops if the user wants that, and shows everything again after a stop.
    fn stop_and_continue(&mut self, terminal: &mut DefaultTerminal) -> io::Result<()> {
        let stopping = std::mem::take(&mut self.stopping);
        if !std::mem::take(&mut self.continued) && !stopping {
            return Ok(());
        }
        job::leave();
        if stopping {
            job::stop();
        }
        // Another one, which does not know what the terminal shows. `clear` would wait for an answer of the terminal, which
        // the reader of keys takes.
        *terminal = job::enter()?;
        self.changed = true;
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
                    return Err(Failure::Failed(reason.code(), reason.to_string()));
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
                SessionEvent::PresencesChanged => {
                    let names = self.room.who_types();
                    self.screen.typing = names.iter().map(|name| printable(name)).collect();
                }
                SessionEvent::Fault(fault) => self.screen.notice = Some(fault.to_string()),
                SessionEvent::NewerVersion(newer) => self.notify(newer.to_string()),
                SessionEvent::OtherPassword(hint) => self.notify(hint.to_string()),
                SessionEvent::Unconfirmed(sends) => self.notify(sends.to_string()),
                SessionEvent::Disagreement(found) => self.notify(found.to_string()),
                SessionEvent::Alarm(alarm) => self.notify(alarm.to_string()),
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
            let shown = |line: &Line| printable(&plain_text(&line.html));
            self.screen.history = self.room.history().lines().iter().map(shown).collect();
            self.screen.participants = model.participants();
            self.screen.nickname = printable(&self.room.nickname());
            self.show_link();
            self.changed = true;
        }
        Ok(())
    }

    /// The link by the chosen way. The first time it names all ways.
    fn show_link(&mut self) {
        let ways: Vec<_> = self.room.ways().collect();
        let number = ways.len();
        let chosen = ways.get(self.way.checked_rem(number).unwrap_or(0));
        (self.screen.way, self.screen.link) = match chosen {
            Some((way, link)) if number > 1 => {
                let place =
                    format!("{} ({} of {number}, F3 next)", way.interface, self.way % number + 1);
                (Some(place), link.clone())
            }
            _ => (None, self.room.link()),
        };
        self.screen.local_only = self.room.local_only().map(|why| why.short);
        let named = std::mem::replace(&mut self.are_ways_named, true);
        if number > 1 && !named && self.screen.notice.is_none() {
            let each = ways.iter().map(|(way, _)| format!("{} ({})", way.url, way.interface));
            let each = each.collect::<Vec<_>>().join(", ");
            self.screen.notice = Some(format!("F3: other addresses. Others can join at {each}"));
        }
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
                Wake::Gone => (self.leaving, self.is_terminal_gone) = (true, true),
                Wake::Stop => self.stopping = true,
                Wake::Continued => self.continued = true,
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
        self.room.set_typing(true);
        self.changed = true;
    }

    fn press(&mut self, key: &KeyEvent) {
        self.changed = true;
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let request = match key.code {
            KeyCode::Char('c' | 'd') if control => return self.leaving = true,
            KeyCode::Char('z') if control => return job::ask_to_stop(),
            KeyCode::Esc => return self.leaving = true,
            KeyCode::Enter => return self.send(),
            KeyCode::F(3) => {
                self.way = self.way.wrapping_add(1);
                self.screen.qr_wanted = true;
                return self.show_link();
            }
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
        self.room.set_typing(!self.screen.input.value().is_empty());
    }

    /// Sends the line. If that fails the line stays.
    fn send(&mut self) {
        match self.room.say(self.screen.input.value()) {
            Ok(()) => {
                self.screen.input.reset();
                self.room.set_typing(false);
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
