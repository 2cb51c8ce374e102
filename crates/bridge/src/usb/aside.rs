//! What may block at its end.

use tokio::runtime::Handle;

/// Something that is dropped in a thread of its own, so that nobody waits for that.
#[derive(Debug)]
pub(super) struct Aside<T: Send + 'static>(Option<T>);

impl<T: Send + 'static> Aside<T> {
    pub(super) fn new(inner: T) -> Self {
        Self(Some(inner))
    }

    /// It, unless it was taken.
    pub(super) fn get(&self) -> Option<&T> {
        self.0.as_ref()
    }

    /// Takes it, to drop it where somebody does wait.
    pub(super) fn take(&mut self) -> Option<T> {
        self.0.take()
    }
}

impl<T: Send + 'static> Drop for Aside<T> {
    fn drop(&mut self) {
        if let (Some(inner), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn_blocking(move || drop(inner));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Ends when it is told to, and tells that.
    struct Slow(mpsc::Receiver<()>, tokio::sync::mpsc::UnboundedSender<()>);

    impl Drop for Slow {
        fn drop(&mut self) {
            self.0.recv().unwrap();
            self.1.send(()).unwrap();
        }
    }

    #[tokio::test]
    async fn an_end_that_blocks_keeps_nobody_waiting() {
        let (end, ends) = mpsc::channel();
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        drop(Aside::new(Slow(ends, tell)));
        // Were it dropped here, this was never reached.
        end.send(()).unwrap();
        told.recv().await.unwrap();
    }
}
