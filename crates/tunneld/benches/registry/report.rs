//! The figures, for people and for programs.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::daemon::Program;

/// With one program.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) name: &'static str,
    pub(crate) starts: Vec<Duration>,
    pub(crate) pairing: Vec<Duration>,
    pub(crate) paired: Vec<Duration>,
    /// In KiB.
    pub(crate) rss: Vec<u64>,
}

/// With a number of phones.
#[derive(Debug)]
pub(crate) struct Scale {
    pub(crate) phones: u16,
    pub(crate) all_listed: Duration,
    /// In KiB.
    pub(crate) rss: u64,
    /// Of one core.
    pub(crate) idle: f64,
}

#[derive(Debug, Default)]
pub(crate) struct Report {
    programs: Vec<Figures>,
    pub(crate) scales: Vec<Scale>,
}

/// What is promised of ours, in milliseconds and MB. Source: the issue that the daemon was built for; docs/testing.md.
const TARGETS: [(&str, f64); 4] =
    [("start to HTTP", 20.0), ("listed, with pairing", 400.0), ("listed, paired", 100.0), ("RSS", 12.0)];

impl Report {
    pub(crate) fn program(&mut self, program: &Program) -> &mut Figures {
        let name = program.name();
        let known = self.programs.iter().position(|one| one.name == name);
        let index = known.unwrap_or_else(|| {
            self.programs.push(Figures { name, ..Figures::default() });
            self.programs.len() - 1
        });
        &mut self.programs[index]
    }

    pub(crate) fn starts(&mut self, program: &Program) -> &mut Vec<Duration> {
        &mut self.program(program).starts
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::from(
            "medians        start to HTTP   listed, with pairing   listed, paired   RSS with one tunnel\n",
        );
        for one in &self.programs {
            let [start, pairing, paired, rss] = one.medians();
            let _ = writeln!(
                text,
                "{:15}{start:10.1} ms {pairing:19.1} ms {paired:13.1} ms {rss:17.1} MB",
                one.name
            );
        }
        text.push_str("\nphones   all listed after start        RSS   CPU idle\n");
        for scale in &self.scales {
            let (listed, rss) = (milliseconds(scale.all_listed), mb(scale.rss));
            let _ = writeln!(
                text,
                "{:6}{listed:20.1} ms {rss:11.1} MB {:8.2} %",
                scale.phones,
                scale.idle * 100.0
            );
        }
        text.push('\n');
        for (what, limit, got) in self.verdicts() {
            let verdict = if got <= limit { "pass   " } else { "MISSED " };
            let _ = writeln!(text, "{verdict} {what}: at most {limit} ({got:.1})");
        }
        text
    }

    pub(crate) fn json(&self) -> Value {
        let program = |one: &Figures| {
            let [start, pairing, paired, rss] = one.medians();
            json!({"name": one.name, "start_ms": start, "listed_pairing_ms": pairing, "listed_paired_ms": paired,
                "rss_mb": rss})
        };
        let scale = |one: &Scale| {
            json!({"phones": one.phones, "all_listed_ms": milliseconds(one.all_listed), "rss_mb": mb(one.rss),
                "idle_cpu": one.idle})
        };
        json!({
            "schema": "iosmux-bench-tunneld/1",
            "programs": self.programs.iter().map(program).collect::<Vec<_>>(),
            "scales": self.scales.iter().map(scale).collect::<Vec<_>>(),
        })
    }

    fn verdicts(&self) -> Vec<(&'static str, f64, f64)> {
        let ours = self.programs.iter().find(|one| one.name == "iosmux").map(Figures::medians);
        let pairs = TARGETS.into_iter().zip(ours.into_iter().flatten());
        pairs.map(|((what, limit), got)| (what, limit, got)).collect()
    }

    /// Whether every target was met.
    pub(crate) fn passed(&self) -> bool {
        self.verdicts().iter().all(|(_, limit, got)| got <= limit)
    }
}

impl Figures {
    /// In the order of [`TARGETS`].
    fn medians(&self) -> [f64; 4] {
        let times = |all: &[Duration]| median(all.iter().map(|one| milliseconds(*one)).collect());
        let rss = median(self.rss.iter().map(|one| mb(*one)).collect());
        [times(&self.starts), times(&self.pairing), times(&self.paired), rss]
    }
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// Megabytes, of a million bytes.
#[allow(clippy::cast_precision_loss, reason = "memory of a process is far below 2^53 bytes")]
fn mb(kib: u64) -> f64 {
    (kib * 1024) as f64 / 1_000_000.0
}
