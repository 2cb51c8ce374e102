//! One connection to lockdownd or to a shim service, without I/O.

use std::sync::Arc;

use iosmux_xpc::NotSourced;
use plist::Value;

use super::frame::Message;
use super::values::LockdownValues;
use crate::not_sourced::{LOCKDOWN_REQUEST, LOCKDOWN_WITHOUT_CHECKIN, SHIM_SERVICE_PAYLOAD};

/// What stands behind the check-in.
#[derive(Debug, Clone)]
pub enum Role {
    /// `com.apple.mobile.lockdown.remote.trusted` or `.untrusted`.
    Lockdown(Arc<LockdownValues>),
    /// Any other service: what it says after its StartService is not sourced.
    Other,
}

/// What to do with the connection after a message.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Send these in order and read on.
    Answer(Vec<Message>),
    /// Close: no source tells how this goes on.
    Stop(NotSourced),
}

/// The state of one connection: check-in first, then the service.
#[derive(Debug)]
pub struct LockdownSession {
    role: Role,
    checked_in: bool,
}

impl LockdownSession {
    /// A connection that has not checked in.
    #[must_use]
    pub fn new(role: Role) -> LockdownSession {
        LockdownSession { role, checked_in: false }
    }

    /// Whether the RSDCheckin is done.
    #[must_use]
    pub fn is_checked_in(&self) -> bool {
        self.checked_in
    }

    /// Whether what follows is no lockdown message, so that any byte at all ends what is known.
    #[must_use]
    pub fn is_opaque(&self) -> bool {
        self.checked_in && matches!(self.role, Role::Other)
    }

    /// Takes the peer's next message.
    pub fn on(&mut self, request: &Message) -> Step {
        let name = request.get("Request").and_then(Value::as_string).unwrap_or_default();
        if !self.checked_in {
            if name != "RSDCheckin" {
                return Step::Stop(LOCKDOWN_WITHOUT_CHECKIN);
            }
            self.checked_in = true;
            // Source: protocol.md §4.2: the check-in's answer and the start of the service are two messages. An escrow
            // bag is for a locked device; this one never is.
            return Step::Answer(vec![message("RSDCheckin", []), message("StartService", [])]);
        }
        match (&self.role, name) {
            // Source: protocol.md §4.2; libimobiledevice src/lockdown.c, lockdownd_query_type.
            (Role::Lockdown(_), "QueryType") => {
                Step::Answer(vec![message(name, [("Type", "com.apple.mobile.lockdown".into())])])
            }
            (Role::Lockdown(values), "GetValue") => Step::Answer(vec![get_value(values, request)]),
            (Role::Lockdown(_), _) => Step::Stop(LOCKDOWN_REQUEST),
            (Role::Other, _) => Step::Stop(SHIM_SERVICE_PAYLOAD),
        }
    }
}

/// The answer repeats what was asked for. Source: go-ios ios/lockdown_value.go, ValueResponse.
fn get_value(values: &LockdownValues, request: &Message) -> Message {
    let key = request.get("Key").and_then(Value::as_string);
    let domain = request.get("Domain").and_then(Value::as_string);
    let asked = [("Key", key), ("Domain", domain)];
    let mut answer = message("GetValue", []);
    for (name, text) in asked {
        if let Some(text) = text {
            answer.insert(name.to_owned(), text.into());
        }
    }
    match values.get(domain, key) {
        Some(value) => answer.insert("Value".to_owned(), value),
        // Source: libimobiledevice src/lockdown.c, lockdownd_error_str_map.
        None => answer.insert("Error".to_owned(), "MissingValue".into()),
    };
    answer
}

fn message<const N: usize>(request: &str, more: [(&str, Value); N]) -> Message {
    let mut message = Message::from_iter([("Request", Value::from(request))]);
    message.extend(more.into_iter().map(|(key, value)| (key.to_owned(), value)));
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lockdown() -> LockdownSession {
        let values = LockdownValues::from_iter([("ProductVersion", Value::from("17.0.3"))]);
        LockdownSession::new(Role::Lockdown(Arc::new(values)))
    }

    fn checked_in(mut session: LockdownSession) -> LockdownSession {
        let Step::Answer(answers) = session.on(&message("RSDCheckin", [("ProtocolVersion", "2".into())]))
        else {
            panic!("the check-in is answered")
        };
        assert_eq!(answers, [message("RSDCheckin", []), message("StartService", [])]);
        session
    }

    #[test]
    fn nothing_is_answered_before_the_check_in() {
        let mut session = lockdown();
        assert_eq!(session.on(&message("QueryType", [])), Step::Stop(LOCKDOWN_WITHOUT_CHECKIN));
        assert_eq!(session.on(&Message::new()), Step::Stop(LOCKDOWN_WITHOUT_CHECKIN));
        assert!(!session.is_checked_in());
    }

    #[test]
    fn lockdownd_tells_its_type() {
        let mut session = checked_in(lockdown());
        let expected = message("QueryType", [("Type", "com.apple.mobile.lockdown".into())]);
        assert_eq!(session.on(&message("QueryType", [])), Step::Answer(vec![expected]));
    }

    #[test]
    fn get_value_answers_one_key_all_keys_and_says_what_is_missing() {
        let mut session = checked_in(lockdown());
        let key = ("Key", Value::from("ProductVersion"));
        let value = ("Value", Value::from("17.0.3"));
        let all = Message::from_iter([("ProductVersion", "17.0.3")]);
        let domain = ("Domain", Value::from("com.apple.disk_usage"));
        let missing = ("Error", Value::from("MissingValue"));
        for (request, expected) in [
            (message("GetValue", [key.clone()]), message("GetValue", [key.clone(), value])),
            (message("GetValue", []), message("GetValue", [("Value", all.into())])),
            (
                message("GetValue", [("Key", "Nonsense".into())]),
                message("GetValue", [("Key", "Nonsense".into()), missing.clone()]),
            ),
            (message("GetValue", [domain.clone()]), message("GetValue", [domain.clone(), missing.clone()])),
            (message("GetValue", [key.clone(), domain.clone()]), message("GetValue", [key, domain, missing])),
        ] {
            assert_eq!(session.on(&request), Step::Answer(vec![expected]));
        }
    }

    #[test]
    fn what_no_source_tells_stops_by_name() {
        let mut session = checked_in(lockdown());
        assert_eq!(session.on(&message("StartSession", [])), Step::Stop(LOCKDOWN_REQUEST));
        assert!(!session.is_opaque());
        let mut other = checked_in(LockdownSession::new(Role::Other));
        assert!(other.is_opaque());
        assert_eq!(other.on(&message("QueryType", [])), Step::Stop(SHIM_SERVICE_PAYLOAD));
    }
}
