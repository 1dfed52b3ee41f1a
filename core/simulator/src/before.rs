//! Data that an older version of the app has persisted before a run: a client of that version joins, persists, leaves.

use teatime_reflector::ConnId;
use teatime_session::{Action, Client, Config, ConnectionState, Input, SessionEvent, Stepped};
use teatime_vm::persisted::{ForeignPersistence, PersistedData};
use teatime_vm::{App, ForeignModel, ForeignObject, Payload, UntypedCx};

use crate::server::{Down, Server};

/// Within this time, in µs, the reflector must have the data.
const MOST: u64 = 60_000_000;

/// Time between two calls of the client, in µs.
const PAUSE: u64 = 10_000;

/// The root model of the older version. It only persists.
struct Older;

impl ForeignObject for Older {
    fn handle(&mut self, _: &mut UntypedCx<'_>, _: u16, _: &Payload) -> Result<(), String> {
        Ok(())
    }

    fn query(&self, _: u16, _: &[u8]) -> Result<Payload, String> {
        Err("it has no queries".to_owned())
    }

    fn save(&self) -> Result<Vec<u8>, String> {
        Ok(vec![0xc0])
    }
}

/// The older version of the app. Only the id is the same.
fn older(app: &App, data: &PersistedData) -> Result<App, String> {
    let persisted = data.bytes.clone();
    let model = ForeignModel {
        id: "older".to_owned(),
        version: 1,
        code: String::new(),
        handlers: Vec::new(),
        queries: Vec::new(),
        init: Box::new(move |cx, _| {
            cx.persist(&persisted).map_err(|error| error.to_string())?;
            Ok(Box::new(Older))
        }),
        load: Box::new(|_| Ok(Box::new(Older))),
    };
    let builder = App::builder_without_root(app.id()).foreign_model(model).version(data.version);
    let persistence = ForeignPersistence { version: data.version, migrations: Vec::new() };
    builder.foreign_persistence(persistence).build().map_err(|error| error.to_string())
}

/// Lets an older version persist data in a room, without faults. Afterwards the reflector's clock has moved on.
pub(crate) fn persist(
    server: &mut Server,
    app: &App,
    (room, password): (&str, Option<&str>),
    data: &PersistedData,
    entropy: [u8; 32],
) -> Result<(), String> {
    let config = Config::with_encoded_options(older(app, data)?, room, &[0xc0]);
    let config = config.map_err(|error| error.to_string())?.password(password);
    let mut client = Client::new(config, entropy).map_err(|error| error.to_string())?;
    let id = ConnId(u64::MAX);
    client.connect();
    let mut is_persisted = false;
    for now in (0..MOST).step_by(PAUSE as usize) {
        while let Some(action) = client.poll_action() {
            match action {
                Action::Connect { .. } => {
                    server.connected(now, id, None);
                    client.handle(now, Input::Connected(None));
                }
                Action::Send(frame) => server.received(now, id, &frame),
                Action::Close => server.disconnected(now, id),
            }
        }
        if server.next_timeout(now).is_some_and(|at| at <= now) {
            server.handle_timeout(now);
        }
        let sent = server.flush(now);
        if is_persisted {
            server.jump(now);
            return Ok(());
        }
        for (_, down) in sent {
            if let Down::Frame(frame) = down {
                client.handle(now, Input::Frame(frame.to_vec()));
            }
        }
        let mut stepped = Stepped::Attention;
        while stepped != Stepped::Done {
            stepped = client.step(now, &mut || false);
            while let Some(event) = client.poll_event() {
                match event {
                    SessionEvent::Persisted { .. } => is_persisted = true,
                    SessionEvent::Connection(ConnectionState::Failed, Some(reason)) => {
                        return Err(format!("the older version has failed: {reason}"));
                    }
                    _ => {}
                }
            }
        }
        if is_persisted {
            client.leave();
        }
    }
    Err("the older version has not persisted anything".to_owned())
}
