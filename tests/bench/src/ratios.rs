//! Compares the reports of two programs: medians of CPU time, and their ratios.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;
use serde_json::Value;

use crate::statistics::median;

/// A figure of CPU time in the rows of a report.
struct Figure {
    name: &'static str,
    /// The row is about this figure only if it has this key too.
    beside: Option<&'static str>,
    /// Turns per second, for example: the CPU time of a turn is the inverse.
    is_rate: bool,
}

/// Figures of wall time and of memory are left out: on a busy machine they say nothing about the program.
const FIGURES: [Figure; 5] = [
    Figure { name: "measured", beside: Some("wanted_at_least"), is_rate: true },
    Figure { name: "measured", beside: Some("wanted_at_most"), is_rate: false },
    Figure { name: "snapshot_ms", beside: None, is_rate: false },
    Figure { name: "restore_ms", beside: None, is_rate: false },
    Figure { name: "cpu_us_per_delivery", beside: Some("sends_per_delivery"), is_rate: false },
];

/// The highest load that a server bears is wall time.
const WALL_TIME: &str = "million/s";

/// What names a figure: its row, and its name there.
type Key = (String, &'static str);

/// The figures of one program, in each of its runs.
#[derive(Debug, Default)]
pub(crate) struct Figures(BTreeMap<Key, (bool, Vec<f64>)>);

/// One line of the comparison.
#[derive(Debug, Serialize)]
pub(crate) struct Ratio {
    work: String,
    figure: &'static str,
    /// The median of the program that is compared with.
    old: f64,
    /// The median of the program that is measured.
    new: f64,
    /// CPU time of the new program over that of the old one: above 1 the new program is slower.
    pub(crate) ratio: f64,
}

/// All that two programs have in common, and what only one of them measures.
#[derive(Debug, Serialize)]
pub(crate) struct Comparison {
    /// The worst first.
    pub(crate) rows: Vec<Ratio>,
    only_old: Vec<String>,
    only_new: Vec<String>,
}

impl Figures {
    /// Adds the report of one run.
    pub(crate) fn add(&mut self, report: &Value) {
        for row in report["rows"].as_array().into_iter().flatten() {
            let Some(work) = row["work"].as_str() else { continue };
            for Figure { name, beside, is_rate } in FIGURES {
                let fits = beside.is_none_or(|key| row.get(key).is_some());
                let value = row[name].as_f64().filter(|value| *value > 0.0);
                let Some(value) = value.filter(|_| fits && row["unit"] != WALL_TIME) else {
                    continue;
                };
                let key = (work.to_owned(), name);
                self.0.entry(key).or_insert((is_rate, Vec::new())).1.push(value);
            }
        }
    }
}

/// Compares the medians of the figures that both programs have.
pub(crate) fn compare(old: &Figures, new: &Figures) -> Comparison {
    let only = |one: &Figures, other: &Figures| -> Vec<String> {
        let keys = one.0.keys().filter(|key| !other.0.contains_key(key));
        keys.map(|(work, figure)| format!("{work}: {figure}")).collect()
    };
    let ratio = |((work, figure), (is_rate, values)): (&Key, &(bool, Vec<f64>))| {
        let (_, old_values) = old.0.get(&(work.clone(), *figure))?;
        let (old, new) = (median(old_values.clone()), median(values.clone()));
        let ratio = if *is_rate { old / new } else { new / old };
        Some(Ratio { work: work.clone(), figure, old, new, ratio })
    };
    let mut rows: Vec<_> = new.0.iter().filter_map(ratio).collect();
    rows.sort_by(|one, other| other.ratio.total_cmp(&one.ratio));
    Comparison { rows, only_old: only(old, new), only_new: only(new, old) }
}

impl Comparison {
    /// The rows that are slower than the old program by more than this many percent.
    pub(crate) fn worse_than(&self, percent: f64) -> Vec<&Ratio> {
        self.rows.iter().filter(|row| row.ratio > 1.0 + percent / 100.0).collect()
    }

    /// For people to read.
    pub(crate) fn table(&self) -> String {
        let mut table = format!("{:>6} {:>10} {:>10}  what\n", "ratio", "old", "new");
        for Ratio { work, figure, old, new, ratio } in &self.rows {
            let _ = writeln!(table, "{ratio:>6.3} {old:>10.3} {new:>10.3}  {work}: {figure}");
        }
        for (whose, rows) in [("old", &self.only_old), ("new", &self.only_new)] {
            for row in rows {
                let _ = writeln!(table, "only in the {whose} program: {row}");
            }
        }
        table
    }
}
