//! Leases: who claims a phone for a while. They are advice among those who look at them: a test run says that nobody should take its
//! phone's tunnel down, and others are told who said so.

use std::time::Duration;

/// Leases at once.
pub(super) const LEASES: usize = 256;
/// The longest lease; it can be renewed.
pub(super) const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest name of an owner, in bytes.
pub(super) const OWNER: usize = 128;

/// A lease, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    /// Which phone, as the phone writes it.
    pub(super) udid: String,
    /// Who claims it, in its own words.
    pub(super) owner: String,
    /// For how long still.
    pub(super) left: Duration,
}

#[derive(Debug)]
struct Lease {
    udid: String,
    owner: String,
    token: String,
    until: Duration,
}

impl Lease {
    fn held(&self, now: Duration) -> Held {
        let (udid, owner) = (self.udid.clone(), self.owner.clone());
        Held { udid, owner, left: self.until.saturating_sub(now) }
    }
}

/// What somebody wants.
#[derive(Debug, Clone)]
pub(super) struct Wish<'a> {
    /// Which phone.
    pub(super) udid: &'a str,
    /// Who.
    pub(super) owner: &'a str,
    /// For how long.
    pub(super) length: Duration,
    /// The token of the lease that this renews.
    pub(super) shown: Option<&'a str>,
    /// The token of a new lease; it has to be unguessable.
    pub(super) fresh: String,
}

/// Why there is no lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refused {
    /// Somebody else has one.
    Held(Held),
    /// There are [`LEASES`] already.
    Full,
    /// The owner's name is empty or longer than [`OWNER`].
    Owner,
    /// It is to last no time, or longer than [`LONGEST`].
    Length,
    /// There is none with this token.
    NoSuchLease,
}

/// The leases that have not ended, by phone. `now` is the time since any fixed moment.
#[derive(Debug, Default)]
pub(super) struct Leases(Vec<Lease>);

impl Leases {
    /// Grants or renews a lease and gives its token.
    pub(super) fn grant(&mut self, now: Duration, wish: Wish<'_>) -> Result<(Held, String), Refused> {
        if wish.owner.trim().is_empty() || wish.owner.len() > OWNER {
            return Err(Refused::Owner);
        }
        if wish.length.is_zero() || wish.length > LONGEST {
            return Err(Refused::Length);
        }
        self.expire(now);
        let until = now.saturating_add(wish.length);
        if let Some(lease) = self.0.iter_mut().find(|lease| same(&lease.udid, wish.udid)) {
            if wish.shown != Some(&lease.token) {
                return Err(Refused::Held(lease.held(now)));
            }
            lease.until = until;
            wish.owner.clone_into(&mut lease.owner);
            return Ok((lease.held(now), lease.token.clone()));
        }
        if self.0.len() >= LEASES {
            return Err(Refused::Full);
        }
        let lease =
            Lease { udid: wish.udid.to_owned(), owner: wish.owner.to_owned(), token: wish.fresh, until };
        let granted = (lease.held(now), lease.token.clone());
        self.0.push(lease);
        Ok(granted)
    }

    /// Ends a lease early.
    pub(super) fn release(
        &mut self,
        now: Duration,
        udid: &str,
        token: Option<&str>,
    ) -> Result<Held, Refused> {
        self.expire(now);
        let place = self.0.iter().position(|lease| same(&lease.udid, udid)).ok_or(Refused::NoSuchLease)?;
        let lease = self.0.get(place).ok_or(Refused::NoSuchLease)?;
        let held = lease.held(now);
        if token != Some(&lease.token) {
            return Err(Refused::Held(held));
        }
        self.0.swap_remove(place);
        Ok(held)
    }

    /// Who has a lease on a phone, unless `token` is its token.
    pub(super) fn held_by_other(&mut self, now: Duration, udid: &str, token: Option<&str>) -> Option<Held> {
        self.expire(now);
        let lease = self.0.iter().find(|lease| same(&lease.udid, udid))?;
        (token != Some(&lease.token)).then(|| lease.held(now))
    }

    /// Who has a lease on any phone that is not of `token`.
    pub(super) fn any_held_by_other(&mut self, now: Duration, token: Option<&str>) -> Option<Held> {
        self.expire(now);
        self.0.iter().find(|lease| token != Some(&lease.token)).map(|lease| lease.held(now))
    }

    /// All of them.
    pub(super) fn all(&mut self, now: Duration) -> Vec<Held> {
        self.expire(now);
        self.0.iter().map(|lease| lease.held(now)).collect()
    }

    fn expire(&mut self, now: Duration) {
        self.0.retain(|lease| lease.until > now);
    }
}

fn same(one: &str, other: &str) -> bool {
    crate::model::same_udid(one, other)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn wish<'a>(udid: &'a str, owner: &'a str, shown: Option<&'a str>) -> Wish<'a> {
        Wish { udid, owner, length: at(60), shown, fresh: format!("{owner}'s") }
    }

    #[test]
    fn a_lease_keeps_others_away_until_it_ends() {
        let mut leases = Leases::default();
        let (held, token) = leases.grant(at(0), wish("0000-1A", "ci", None)).unwrap();
        assert_eq!((held.left, token.as_str()), (at(60), "ci's"));
        let other = leases.held_by_other(at(10), "00001a", None).unwrap();
        assert_eq!((other.owner.as_str(), other.left), ("ci", at(50)));
        assert_eq!(leases.held_by_other(at(10), "0000-1A", Some("ci's")), None);
        assert_eq!(leases.held_by_other(at(10), "0000-1B", None), None);
        assert_eq!(leases.any_held_by_other(at(59), None).unwrap().owner, "ci");
        assert_eq!(leases.any_held_by_other(at(60), None), None);
        assert_eq!(leases.all(at(60)), []);
    }

    #[test]
    fn only_its_token_renews_or_releases_it() {
        let mut leases = Leases::default();
        leases.grant(at(0), wish("A", "ci", None)).unwrap();
        for shown in [None, Some("wrong")] {
            let refused = leases.grant(at(1), wish("A", "me", shown)).unwrap_err();
            assert!(matches!(refused, Refused::Held(held) if held.owner == "ci" && held.left == at(59)));
            assert!(matches!(leases.release(at(1), "A", shown), Err(Refused::Held(_))));
        }
        let (renewed, token) = leases.grant(at(30), wish("a", "ci again", Some("ci's"))).unwrap();
        assert_eq!((renewed.left, renewed.owner.as_str(), token.as_str()), (at(60), "ci again", "ci's"));
        assert_eq!(leases.release(at(31), "A", Some("ci's")).unwrap().owner, "ci again");
        assert_eq!(leases.release(at(31), "A", Some("ci's")), Err(Refused::NoSuchLease));
        leases.grant(at(32), wish("A", "me", None)).unwrap();
    }

    #[test]
    fn names_lengths_and_their_number_are_bounded() {
        let mut leases = Leases::default();
        let long = "x".repeat(OWNER + 1);
        for owner in ["", "  ", &long] {
            assert_eq!(leases.grant(at(0), wish("A", owner, None)), Err(Refused::Owner));
        }
        for length in [Duration::ZERO, LONGEST + at(1)] {
            let refused = leases.grant(at(0), Wish { length, ..wish("A", "ci", None) });
            assert_eq!(refused, Err(Refused::Length));
        }
        for number in 0..LEASES {
            leases.grant(at(0), wish(&number.to_string(), "ci", None)).unwrap();
        }
        assert_eq!(leases.grant(at(59), wish("A", "ci", None)), Err(Refused::Full));
        leases.grant(at(60), wish("A", "ci", None)).unwrap();
    }
}
