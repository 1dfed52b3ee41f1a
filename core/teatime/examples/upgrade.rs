//! Two versions of an app: version 2 begins with the data that version 1 has persisted.
//!
//! A real app is one version at a time, and retains the old type only (`SavedV1`). Here both versions are in one program,
//! so that it shows the upgrade from begin to end.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use teatime::persisted::{NoPrevious, Persisted};
use teatime::server::{Server, ServerConfig};
use teatime::{App, Config, Cx, Model, ModelId, Session, View, ViewContext, handlers, model};

/// What version 1 persists: the whole list as one text.
#[derive(Serialize, Deserialize)]
struct SavedV1 {
    text: String,
}

impl Persisted for SavedV1 {
    const VERSION: u32 = 1;
    type Previous = NoPrevious;

    fn migrate(old: NoPrevious) -> Result<Self, String> {
        match old {}
    }
}

/// What version 2 persists, and how it is made from what version 1 had.
#[derive(Serialize, Deserialize)]
struct SavedV2 {
    lines: Vec<String>,
}

impl Persisted for SavedV2 {
    const VERSION: u32 = 2;
    type Previous = SavedV1;

    fn migrate(old: SavedV1) -> Result<Self, String> {
        Ok(Self { lines: old.text.lines().map(str::to_owned).collect() })
    }
}

#[model(id = "list", version = 1)]
struct ListV1 {
    text: String,
}

#[handlers]
impl ListV1 {
    fn init(cx: &mut Cx<Self>, _options: &()) -> Self {
        cx.subscribe("list", "add", Self::add);
        Self { text: cx.persisted::<SavedV1>().map(|saved| saved.text).unwrap_or_default() }
    }

    fn add(&mut self, cx: &mut Cx<Self>, line: String) {
        self.text += &format!("{line}\n");
        if let Err(why) = cx.persist(&SavedV1 { text: self.text.clone() }) {
            cx.publish("list", "not persisted", why.to_string());
        }
    }

    #[query]
    fn lines(&self) -> Vec<String> {
        self.text.lines().map(str::to_owned).collect()
    }
}

#[model(id = "list", version = 2)]
struct ListV2 {
    lines: Vec<String>,
}

#[handlers]
impl ListV2 {
    fn init(cx: &mut Cx<Self>, _options: &()) -> Self {
        cx.subscribe("list", "add", Self::add);
        Self { lines: cx.persisted::<SavedV2>().map(|saved| saved.lines).unwrap_or_default() }
    }

    fn add(&mut self, cx: &mut Cx<Self>, line: String) {
        self.lines.push(line);
        if let Err(why) = cx.persist(&SavedV2 { lines: self.lines.clone() }) {
            cx.publish("list", "not persisted", why.to_string());
        }
    }

    #[query]
    fn lines(&self) -> Vec<String> {
        self.lines.clone()
    }
}

/// A view of either version that shows nothing.
struct Blank<M>(std::marker::PhantomData<M>);

impl<M: Model> View for Blank<M> {
    type Model = M;
    type Args = ();

    fn attach(_cx: &mut ViewContext<'_, Self>, (): &mut ()) -> Self {
        Self(std::marker::PhantomData)
    }
}

/// Joins with one version, adds a line, and returns the lines once they are stored.
fn add<M: Model>(app: App, server: &Server, line: &str) -> Result<Vec<String>, String> {
    let config = Config::new(app, "kitchen", &()).map_err(|why| why.to_string())?;
    let joined = Session::<Blank<M>>::join(config, &server.url());
    let mut session = joined.map_err(|why| why.to_string())?;
    let mut receipt = None;
    while receipt.is_none_or(|sent| !session.is_applied(sent)) || session.has_unpersisted() {
        session.next_event(Duration::from_millis(100));
        if let Some(why) = session.failure() {
            return Err(why.to_string());
        }
        if receipt.is_none() && session.view().is_some() {
            let sent = session.publish("list", "add", line);
            receipt = Some(sent.map_err(|why| why.to_string())?);
        }
    }
    let answer = session.query(ModelId::ROOT, "lines", &[]).ok_or("the session has no model")?;
    answer.map_err(|why| why.to_string())?.get().map_err(|why| why.to_string())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::bind("127.0.0.1:0", ServerConfig::default())?;
    let v1 = App::builder::<ListV1>("org.example.list").version(1).persists::<SavedV1>();
    println!("version 1: {:?}", add::<ListV1>(v1.build()?, &server, "milk")?);
    let v2 = App::builder::<ListV2>("org.example.list").version(2).persists::<SavedV2>();
    println!("version 2: {:?}", add::<ListV2>(v2.build()?, &server, "tea")?);
    Ok(())
}
