//! The models of the examples in the simulator.

use teatime::testing::{Failure, Simulation};

use crate::{cursors, dice, headless, todo, whiteboard};

const SEEDS: u64 = 10;

#[test]
fn the_dice_land_alike_for_all_participants() -> Result<(), Failure> {
    let app = dice::app().expect("it is sound");
    Simulation::of(app)
        .action(3, |dice, user| user.publish_topic(&dice::THROW, &(dice.below(8) as u8)))
        .seeds(SEEDS)
        .run()
        .map(drop)
}

#[test]
fn the_cursors_are_those_of_the_participants() -> Result<(), Failure> {
    let app = cursors::app().expect("it is sound");
    Simulation::of(app)
        .view_data(|dice| Some(format!("user {}", dice.below(100))))
        .action(1, |dice, user| user.publish_topic(&cursors::RENAME, &format!("{}", dice.below(9))))
        .seeds(SEEDS)
        .run()
        .map(drop)
}

#[test]
fn the_list_is_the_same_for_all_participants() -> Result<(), Failure> {
    let app = todo::app().expect("it is sound");
    Simulation::of(app)
        .action(5, |dice, user| user.publish_topic(&todo::ADD, &format!("item {}", dice.below(9))))
        .action(3, |dice, user| user.publish_topic(&todo::DONE, &(dice.below(30) as u32)))
        .action(1, |_, user| user.publish_topic(&todo::CLEAR, &()))
        .seeds(SEEDS)
        .run()
        .map(drop)
}

#[test]
fn the_board_has_the_same_strokes_for_all_participants() -> Result<(), Failure> {
    let app = whiteboard::app().expect("it is sound");
    Simulation::of(app)
        .action(4, |dice, user| {
            let points: Vec<_> =
                (0..3).map(|_| (dice.below(40) as i32, dice.below(10) as i32)).collect();
            user.publish("board", "draw", &points);
        })
        .action(1, |_, user| user.publish("board", "undo", &()))
        .seeds(SEEDS)
        .run()
        .map(drop)
}

#[test]
fn the_poll_counts_alike_for_all_participants() -> Result<(), Failure> {
    let app = headless::app().expect("it is sound");
    Simulation::of(app)
        .action(1, |dice, user| user.publish("poll", "vote", *dice.pick(&["tea", "coffee"])))
        .seeds(SEEDS)
        .run()
        .map(drop)
}
