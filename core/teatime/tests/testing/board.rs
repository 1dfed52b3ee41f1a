//! A board on which participants put stones, with one of several planted bugs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use teatime::testing::{Failure, Simulation};
use teatime::{
    App, Cx, Duration, OrderedMap, VIEW_EXIT, VIEW_JOIN, ViewId, ViewInfo, handlers, model,
};

/// The bug of the board.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum Planted {
    Nothing,
    HashOrder,
    Clock,
    Static,
    LeftOut,
    LaterOnly,
    Panics,
    NoStart,
    Miscounts,
    Seconds,
    SecondsOnLarge,
    NotSaved,
    NotRestored,
}

/// A board on which participants put stones. It uses everything that a model can use.
#[model(id = "board", version = 1)]
pub(crate) struct Board {
    pub(crate) planted: Planted,
    pub(crate) here: OrderedMap<ViewId, String>,
    pub(crate) stones: Vec<Stone>,
    pub(crate) order: Vec<u32>,
    pub(crate) number: u64,
    pub(crate) count: u64,
    pub(crate) wind: f64,
    #[serde(skip)]
    pub(crate) left_out: u64,
    pub(crate) fragile: Fragile,
    pub(crate) background: String,
}

/// A number that cannot be saved from 101 to 200, and cannot be restored above 200.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "u64")]
pub(crate) struct Fragile(u64);

impl Serialize for Fragile {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            101..=200 => Err(serde::ser::Error::custom("it cannot be encoded")),
            number => to.serialize_u64(number),
        }
    }
}

impl TryFrom<u64> for Fragile {
    type Error = String;

    fn try_from(number: u64) -> Result<Self, String> {
        if number > 200 { Err("it says nothing".to_owned()) } else { Ok(Self(number)) }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stone {
    x: u32,
    by: ViewId,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Put {
    pub(crate) x: u64,
}

pub(crate) static COUNTER: AtomicU64 = AtomicU64::new(0);

#[handlers]
impl Board {
    fn init(cx: &mut Cx<Self>, planted: &Planted) -> Self {
        assert_ne!(*planted, Planted::NoStart, "the board is broken");
        cx.subscribe("board", "put", Self::put);
        cx.subscribe("board", "clear", Self::clear);
        cx.subscribe(cx.session_scope(), VIEW_JOIN, Self::join);
        cx.subscribe(cx.session_scope(), VIEW_EXIT, Self::exit);
        cx.every(Duration::from_millis(700)).call(Self::blow, ());
        Self {
            planted: *planted,
            here: OrderedMap::new(),
            stones: Vec::new(),
            order: Vec::new(),
            number: 0,
            count: 0,
            wind: 0.0,
            left_out: 0,
            fragile: Fragile(0),
            background: "b".repeat(if *planted == Planted::SecondsOnLarge { 500_000 } else { 0 }),
        }
    }

    fn join(&mut self, _cx: &mut Cx<Self>, view: ViewInfo) {
        let name = view.data::<String>().and_then(Result::ok).unwrap_or_default();
        self.here.insert(view.view_id, name);
    }

    fn exit(&mut self, _cx: &mut Cx<Self>, view: ViewId) {
        self.here.remove(&view);
    }

    #[allow(
        clippy::disallowed_types,
        clippy::disallowed_methods,
        reason = "planted bugs, which the simulation must find"
    )]
    fn put(&mut self, cx: &mut Cx<Self>, put: Put) {
        let Some(by) = cx.sender() else { return };
        self.stones.push(Stone { x: put.x as u32, by });
        self.count += if self.planted == Planted::Miscounts && put.x == 3 { 2 } else { 1 };
        self.left_out += 1;
        match self.planted {
            Planted::HashOrder => {
                let columns: std::collections::HashSet<u32> =
                    self.stones.iter().map(|stone| stone.x).collect();
                self.order = columns.into_iter().collect();
            }
            Planted::Clock => {
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                self.number = now.map_or(0, |now| now.as_nanos() as u64);
            }
            Planted::Seconds | Planted::SecondsOnLarge => {
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                self.number = now.map_or(0, |now| now.as_secs());
            }
            Planted::NotSaved if self.count > 3 => self.fragile = Fragile(101),
            Planted::NotRestored if self.count > 3 => self.fragile = Fragile(201),
            Planted::Static => self.number = COUNTER.fetch_add(1, Ordering::Relaxed),
            Planted::LeftOut => self.number = self.left_out,
            Planted::Panics => assert_ne!(self.count % 10, 9, "nine"),
            _ => {}
        }
    }

    fn clear(&mut self, cx: &mut Cx<Self>) {
        self.stones.clear();
        cx.publish("board", "cleared", ());
    }

    fn blow(&mut self, cx: &mut Cx<Self>) {
        self.wind = cx.random();
        if self.planted == Planted::LaterOnly && self.count > 2 {
            self.number = COUNTER.fetch_add(1, Ordering::Relaxed);
        }
    }
}

pub(crate) fn simulation(planted: Planted) -> Simulation<'static> {
    let app = App::builder::<Board>("org.example.board").build().expect("it is sound");
    Simulation::of(app)
        .options(&planted)
        .view_data(|dice| format!("player {}", dice.below(100)))
        .action(5, |dice, user| user.publish("board", "put", &Put { x: dice.below(8) }))
        .action(1, |_, user| {
            if user.root::<Board>().is_some_and(|board| board.stones.len() > 20) {
                user.publish("board", "clear", &());
            }
        })
        .check(|end| {
            let board = end.root::<Board>();
            assert_eq!(board.count, end.count("board", "put"), "stones");
            assert!(board.here.get(&end.view_id()).is_some_and(|name| name.starts_with("player")));
        })
        .seeds(30)
}

pub(crate) fn failure(planted: Planted) -> Failure {
    simulation(planted).run().expect_err("something is wrong")
}
