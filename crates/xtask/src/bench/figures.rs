//! Samples to medians, ratios and a verdict.

/// The least of C's speed, in either direction.
const OF_C: f64 = 0.97;
/// The least of pymobiledevice3's speed.
const OF_PYMOBILEDEVICE3: f64 = 1.3;
/// The most processor seconds per gigabyte.
const CPU: f64 = 0.6;

/// A program at the host end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    Ours,
    C,
    Pymobiledevice3,
}

impl Host {
    /// In the order of each round.
    pub(crate) const ALL: [Self; 3] = [Self::Ours, Self::C, Self::Pymobiledevice3];

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "iosmux",
            Self::C => "C",
            Self::Pymobiledevice3 => "pymobiledevice3",
        }
    }
}

/// Which way the bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Towards the phone.
    Up,
    Down,
}

impl Direction {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Up, Self::Down];

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// A TLS suite: OpenSSL's name and the number on the wire.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Suite {
    pub(crate) name: &'static str,
    pub(crate) id: u16,
}

const GCM: Suite = Suite { name: "PSK-AES256-GCM-SHA384", id: 0x00a9 };
const CBC: Suite = Suite { name: "PSK-AES256-CBC-SHA384", id: 0x00af };

/// What is the same for all host ends of a table.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    /// Of both TUN devices, in bytes.
    pub(crate) mtu: u16,
    /// The only one that both ends have.
    pub(crate) suite: Suite,
    /// Whether there are targets for it; if not, its figures are only stated.
    pub(crate) judged: bool,
}

/// What is measured, in this order.
pub(crate) const SETTINGS: [Setting; 3] = [
    Setting { mtu: 16000, suite: GCM, judged: true },
    Setting { mtu: 1280, suite: GCM, judged: false },
    Setting { mtu: 16000, suite: CBC, judged: false },
];

/// One transfer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample {
    /// Gbit/s that arrived.
    pub(crate) gigabits: f64,
    /// Processor seconds of the host end's relay per 10⁹ bytes that arrived.
    pub(crate) cpu_per_gigabyte: f64,
}

/// All transfers of a setting, by round, host end and direction (in the order of their `ALL`).
pub(crate) struct Results {
    pub(crate) setting: &'static Setting,
    pub(crate) rounds: Vec<[[Sample; 2]; 3]>,
}

/// A median with the lowest and the highest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

/// A target and whether it was met.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) what: String,
    pub(crate) got: f64,
    pub(crate) passed: bool,
}

impl Results {
    /// The samples of one host end in one direction, by round.
    fn samples(&self, host: Host, direction: Direction) -> impl Iterator<Item = Sample> {
        self.rounds.iter().map(move |round| round[host as usize][direction as usize])
    }

    /// Gbit/s.
    pub(crate) fn speed(&self, host: Host, direction: Direction) -> Spread {
        spread(self.samples(host, direction).map(|sample| sample.gigabits).collect())
    }

    /// Processor seconds per gigabyte.
    pub(crate) fn cpu(&self, host: Host, direction: Direction) -> Spread {
        spread(self.samples(host, direction).map(|sample| sample.cpu_per_gigabyte).collect())
    }

    /// How many times as fast as `other`: a ratio for each round, of which this is the median.
    ///
    /// The transfers of one round are seconds apart, those of all rounds minutes, in which a shared machine changes its speed.
    pub(crate) fn ratio(&self, host: Host, other: Host, direction: Direction) -> Spread {
        let pairs = self.samples(host, direction).zip(self.samples(other, direction));
        spread(pairs.map(|(one, other)| one.gigabits / other.gigabits).collect())
    }

    /// The targets; none for a setting that is only stated.
    pub(crate) fn verdicts(&self) -> Vec<Verdict> {
        if !self.setting.judged {
            return Vec::new();
        }
        let mut verdicts = Vec::new();
        for (other, least) in [(Host::C, OF_C), (Host::Pymobiledevice3, OF_PYMOBILEDEVICE3)] {
            for direction in Direction::ALL {
                let got = self.ratio(Host::Ours, other, direction).median;
                let what = format!("{}: at least {least} × {}", direction.name(), other.name());
                verdicts.push(Verdict { what, got, passed: got >= least });
            }
        }
        for direction in Direction::ALL {
            let got = self.cpu(Host::Ours, direction).median;
            let what = format!("{}: relay CPU at most {CPU} s/GB", direction.name());
            verdicts.push(Verdict { what, got, passed: got <= CPU });
        }
        verdicts
    }
}

/// Median, lowest and highest; not-a-number without values, which no target is met by.
fn spread(mut values: Vec<f64>) -> Spread {
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    let half = values.len() / 2;
    let median =
        if values.len().is_multiple_of(2) { (at(half.wrapping_sub(1)) + at(half)) / 2.0 } else { at(half) };
    Spread { median, least: at(0), most: at(values.len().wrapping_sub(1)) }
}

/// Made-up results, for the tests of this module and of the report.
#[cfg(test)]
pub(super) fn sample_results(setting: &'static Setting, ours: f64) -> Results {
    let sample = |gigabits, cpu_per_gigabyte| Sample { gigabits, cpu_per_gigabyte };
    let round = |factor: f64| {
        [
            [sample(ours * factor, 0.5), sample(5.5 * factor, 0.45)],
            [sample(5.0 * factor, 0.52), sample(5.5 * factor, 0.5)],
            [sample(3.0 * factor, 1.9), sample(2.75 * factor, 2.25)],
        ]
    };
    Results { setting, rounds: vec![round(1.0), round(0.5), round(1.1)] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(spread(vec![3.0, 1.0, 2.0]), Spread { median: 2.0, least: 1.0, most: 3.0 });
        assert_eq!(spread(vec![4.0, 1.0, 2.0, 3.0]).median, 2.5);
        assert_eq!(spread(vec![7.0]), Spread { median: 7.0, least: 7.0, most: 7.0 });
        assert!(spread(Vec::new()).median.is_nan());
    }

    #[test]
    fn a_slow_round_changes_no_ratio() {
        let results = sample_results(&SETTINGS[0], 5.0);
        let ratio = results.ratio(Host::Ours, Host::C, Direction::Up);
        assert_eq!(ratio, Spread { median: 1.0, least: 1.0, most: 1.0 });
        assert_eq!(results.speed(Host::C, Direction::Up).least, 2.5);
        assert_eq!(results.ratio(Host::Ours, Host::Pymobiledevice3, Direction::Down).median, 2.0);
    }

    #[test]
    fn each_target_can_be_missed() {
        let passed = |results: &Results| -> Vec<bool> {
            results.verdicts().iter().map(|verdict| verdict.passed).collect()
        };
        assert_eq!(passed(&sample_results(&SETTINGS[0], 5.0)), [true; 6]);
        assert_eq!(passed(&sample_results(&SETTINGS[0], 4.8)), [false, true, true, true, true, true]);
        assert_eq!(passed(&sample_results(&SETTINGS[0], 3.8)), [false, true, false, true, true, true]);
        let mut hungry = sample_results(&SETTINGS[0], 5.0);
        for round in &mut hungry.rounds {
            round[0][1].cpu_per_gigabyte = 0.61;
        }
        assert_eq!(passed(&hungry), [true, true, true, true, true, false]);
        let nothing = Results { setting: &SETTINGS[0], rounds: Vec::new() };
        assert_eq!(passed(&nothing), [false; 6]);
    }

    #[test]
    fn what_is_only_stated_has_no_target() {
        assert_eq!(sample_results(&SETTINGS[1], 1.0).verdicts(), Vec::new());
        assert_eq!(SETTINGS.iter().filter(|setting| setting.judged).count(), 1);
    }
}
