//! What the bench says: tables and targets for people, one object for programs.

use super::figures::{Direction, Host, Results, Spread};
use super::idle::Idle;
use serde_json::{Value, json};

/// Version of the JSON's form.
const SCHEMA: &str = "iosmux-bench-tunnel/1";

/// Everything that was measured.
pub(super) struct Report {
    pub(super) idle: Idle,
    /// Of each transfer.
    pub(super) seconds: u32,
    pub(super) results: Vec<Results>,
}

impl Report {
    /// Whether every target is met.
    pub(super) fn passed(&self) -> bool {
        self.results.iter().flat_map(Results::verdicts).all(|verdict| verdict.passed)
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let warning = self.idle.warning();
        text.extend(warning.iter().map(|warning| format!("{warning}\n\n")));
        for results in &self.results {
            text.push_str(&table(results, self.seconds));
            text.push('\n');
        }
        text.push_str(
            "up: towards the phone; Gbit/s: median (lowest–highest); of C, of pymobiledevice3: a ratio for each round, \
             then the median, up / down;\nCPU: median of the host end's relay in s/GB, up / down.\n\n",
        );
        for verdict in self.results.iter().flat_map(Results::verdicts) {
            let word = if verdict.passed { "pass" } else { "MISSED" };
            text.push_str(&format!("{word:<6}  {} ({:.2})\n", verdict.what, verdict.got));
        }
        text.push_str(&format!(
            "load average {:.2} at the start, processors {:.0} % busy before the first transfer",
            self.idle.load,
            self.idle.busy * 100.0
        ));
        text.extend(warning.iter().map(|warning| format!("\n{warning}")));
        text
    }

    /// For programs; speeds in Gbit/s, CPU in seconds per 10⁹ bytes.
    pub(super) fn json(&self) -> Value {
        let verdicts = self.results.iter().flat_map(Results::verdicts);
        let verdicts: Vec<Value> = verdicts
            .map(|verdict| json!({"target": verdict.what, "got": verdict.got, "passed": verdict.passed}))
            .collect();
        json!({
            "schema": SCHEMA,
            "seconds": self.seconds,
            "load_average": self.idle.load,
            "busy": self.idle.busy,
            "warning": self.idle.warning(),
            "settings": self.results.iter().map(setting).collect::<Vec<_>>(),
            "targets": verdicts,
            "passed": self.passed(),
        })
    }
}

fn setting(results: &Results) -> Value {
    let hosts = Host::ALL.map(|host| {
        let ways = Direction::ALL.map(|way| {
            json!({
                "direction": way.name(),
                "gbit_per_s": spread(results.speed(host, way)),
                "cpu_s_per_gb": spread(results.cpu(host, way)),
                "of_c": spread(results.ratio(host, Host::C, way)),
                "of_pymobiledevice3": spread(results.ratio(host, Host::Pymobiledevice3, way)),
            })
        });
        json!({"host": host.name(), "directions": ways})
    });
    json!({
        "mtu": results.setting.mtu,
        "suite": results.setting.suite.name,
        "suite_id": format!("0x{:04X}", results.setting.suite.id),
        "judged": results.setting.judged,
        "rounds": results.rounds.len(),
        "hosts": hosts,
    })
}

fn spread(spread: Spread) -> Value {
    json!({"median": spread.median, "min": spread.least, "max": spread.most})
}

fn table(results: &Results, seconds: u32) -> String {
    let setting = results.setting;
    let stated = if setting.judged { "" } else { ", only stated" };
    let mut text = format!(
        "TUN MTU {}, {} (0x{:04X}) at both ends, {} × {seconds} s{stated}\n",
        setting.mtu,
        setting.suite.name,
        setting.suite.id,
        results.rounds.len(),
    );
    let mut lines = vec![
        ["host end", "Gbit/s up", "Gbit/s down", "of C", "of pymobiledevice3", "CPU s/GB"].map(String::from),
    ];
    lines.extend(Host::ALL.map(|host| row(results, host)));
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 6] = std::array::from_fn(width);
    for line in &lines {
        let cells: Vec<String> =
            line.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn row(results: &Results, host: Host) -> [String; 6] {
    let speed = |way| {
        let Spread { median, least, most } = results.speed(host, way);
        format!("{median:.2} ({least:.2}–{most:.2})")
    };
    let both = |figure: &dyn Fn(Direction) -> Spread| {
        let [up, down] = Direction::ALL.map(|way| figure(way).median);
        format!("{up:.2} / {down:.2}")
    };
    [
        host.name().into(),
        speed(Direction::Up),
        speed(Direction::Down),
        both(&|way| results.ratio(host, Host::C, way)),
        both(&|way| results.ratio(host, Host::Pymobiledevice3, way)),
        both(&|way| results.cpu(host, way)),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::figures::{SETTINGS, sample_results};
    use super::*;

    fn report(ours: f64, busy: f64) -> Report {
        let results = vec![sample_results(&SETTINGS[0], ours), sample_results(&SETTINGS[2], 1.5)];
        Report { idle: Idle { load: 0.08, busy }, seconds: 5, results }
    }

    #[test]
    fn the_report_reads_so() {
        insta::assert_snapshot!(report(4.0, 0.5).text());
    }

    #[test]
    fn an_idle_machine_is_not_warned_about() {
        let report = report(5.0, 0.0);
        assert!(report.passed() && !report.text().contains("WARNING"));
        assert!(!self::report(4.0, 0.0).passed());
    }

    #[test]
    fn the_json_keeps_its_form() {
        let json = report(4.0, 0.0).json();
        assert_eq!((&json["schema"], &json["passed"]), (&json!("iosmux-bench-tunnel/1"), &json!(false)));
        let ours = &json["settings"][0]["hosts"][0];
        assert_eq!(
            (&ours["host"], &ours["directions"][0]["gbit_per_s"]["median"]),
            (&json!("iosmux"), &json!(4.0))
        );
        assert_eq!(json["settings"][0]["suite_id"], "0x00A9");
        assert_eq!(json["targets"].as_array().map(Vec::len), Some(6));
    }
}
