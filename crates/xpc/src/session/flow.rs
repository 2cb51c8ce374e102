//! Flow control, both ways. Source: RFC 9113 §5.2 and §6.9; protocol.md §3.1 (a phone enforces it).

use super::error::SessionError;

/// Window of each stream before SETTINGS, and of the connection. Source: RFC 9113 §6.9.2.
pub(super) const DEFAULT_WINDOW: u32 = 65_535;
const MAX_WINDOW: i64 = 0x7fff_ffff;

/// What the peer allows us to send.
#[derive(Debug, Clone, Copy)]
pub(super) struct SendWindow(i64);

impl SendWindow {
    pub(super) fn new(size: u32) -> Self {
        Self(size.into())
    }

    /// Bytes that may go now; a window can be below zero after SETTINGS.
    pub(super) fn available(self) -> usize {
        usize::try_from(self.0).unwrap_or(0)
    }

    pub(super) fn spend(&mut self, bytes: usize) {
        self.0 = self.0.saturating_sub(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// WINDOW_UPDATE, or a changed initial size (which may be negative).
    pub(super) fn shift(&mut self, by: i64, stream: u32) -> Result<(), SessionError> {
        let shifted = self.0.saturating_add(by);
        if shifted > MAX_WINDOW {
            return Err(SessionError::WindowOverflow { stream });
        }
        self.0 = shifted;
        Ok(())
    }
}

/// What we allow the peer to send.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReceiveWindow {
    size: u32,
    left: u32,
    owed: u32,
}

impl ReceiveWindow {
    pub(super) fn new(size: u32) -> Self {
        Self { size, left: size, owed: 0 }
    }

    /// Counts DATA that came.
    pub(super) fn take(&mut self, bytes: usize, stream: u32) -> Result<(), SessionError> {
        match u32::try_from(bytes).ok().and_then(|bytes| self.left.checked_sub(bytes)) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(SessionError::FlowControl {
                stream,
                window: self.left,
                sent: u64::try_from(bytes).unwrap_or(u64::MAX),
            }),
        }
    }

    /// Counts DATA that is dealt with, and answers what to give back once that is half of the window.
    pub(super) fn consume(&mut self, bytes: usize) -> Option<u32> {
        let used = self.size.saturating_sub(self.left);
        self.owed = self.owed.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX)).min(used);
        if self.owed < self.size.div_ceil(2) {
            return None;
        }
        self.left = self.left.saturating_add(self.owed);
        Some(std::mem::take(&mut self.owed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn send_window_goes_below_zero_and_comes_back() {
        let mut window = SendWindow::new(100);
        window.spend(80);
        window.shift(-50, 1).unwrap();
        assert_eq!(window.available(), 0);
        window.shift(40, 1).unwrap();
        assert_eq!(window.available(), 10);
    }

    #[test]
    fn send_window_overflow_is_an_error() {
        let mut window = SendWindow::new(1);
        assert_eq!(window.shift(MAX_WINDOW, 7), Err(SessionError::WindowOverflow { stream: 7 }));
        assert_eq!(window.available(), 1);
    }

    #[test]
    fn receive_window_refuses_one_byte_too_many() {
        let mut window = ReceiveWindow::new(10);
        window.take(10, 3).unwrap();
        assert_eq!(window.take(1, 3), Err(SessionError::FlowControl { stream: 3, window: 0, sent: 1 }));
    }

    #[test]
    fn half_of_the_window_is_given_back_at_once() {
        let mut window = ReceiveWindow::new(10);
        window.take(9, 1).unwrap();
        assert_eq!(window.consume(4), None);
        assert_eq!(window.consume(1), Some(5));
        window.take(6, 1).unwrap();
    }

    #[test]
    fn nothing_is_given_back_that_did_not_come() {
        let mut window = ReceiveWindow::new(10);
        window.take(5, 1).unwrap();
        assert_eq!(window.consume(usize::MAX), Some(5));
        assert_eq!(window.consume(usize::MAX), None);
    }
}
