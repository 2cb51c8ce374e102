//! HTTP/2 frames: the only file that knows the h2 crate.
//!
//! The crate's codec wants an asynchronous stream. It is given one that lives in memory and never waits, so that
//! the session stays without I/O. What the codec leaves to us: the preface, acknowledgements, flow control, stream rules
//! and every limit on floods (platform.md, "Libraries").

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use bytes::{Buf, Bytes, BytesMut};
use futures_core::Stream as _;
use h2::{
    Codec,
    frame::{self, Frame as H2Frame, Reason, StreamId},
    proto::Error as H2Error,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::error::FrameError;

/// What a client sends first. Source: RFC 9113 §3.4.
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Largest payload of a frame, both ways. Source: protocol.md §3.1 (an iPhone refuses more).
pub(super) const MAX_FRAME: usize = 16_384;

/// A frame, as far as RemoteXPC uses HTTP/2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frame {
    Data {
        stream: u32,
        payload: Bytes,
        end: bool,
    },
    Headers {
        stream: u32,
        end: bool,
    },
    Reset {
        stream: u32,
        code: u32,
    },
    Settings(Settings),
    SettingsAck,
    Ping([u8; 8]),
    Pong([u8; 8]),
    GoAway {
        code: u32,
        debug: Bytes,
    },
    WindowUpdate {
        stream: u32,
        increment: u32,
    },
    /// Priorities mean nothing here.
    Priority,
    /// Nobody pushes in RemoteXPC.
    PushPromise {
        stream: u32,
    },
}

/// The settings that matter here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) max_concurrent_streams: Option<u32>,
    pub(super) initial_window_size: Option<u32>,
}

/// Frames from bytes and bytes from frames, in memory.
pub(super) struct FrameCodec {
    inner: Codec<Pipe, Payload>,
    preface_left: usize,
}

impl FrameCodec {
    /// The client's end writes the preface, the server's expects it.
    pub(super) fn new(client: bool, header_list: usize) -> Self {
        let mut pipe = Pipe::default();
        if client {
            pipe.outbound.extend_from_slice(PREFACE);
        }
        let mut inner = Codec::with_max_recv_frame_size(pipe, MAX_FRAME);
        inner.set_max_recv_header_list_size(header_list);
        Self { inner, preface_left: if client { 0 } else { PREFACE.len() } }
    }

    /// Adds received bytes.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> Result<(), FrameError> {
        let expected = PREFACE.iter().skip(PREFACE.len().saturating_sub(self.preface_left));
        for (expected, found) in expected.zip(bytes) {
            if expected != found {
                return Err(FrameError::BadPreface {
                    found: *found,
                    offset: PREFACE.len().saturating_sub(self.preface_left),
                });
            }
        }
        let preface = self.preface_left.min(bytes.len());
        self.preface_left = self.preface_left.saturating_sub(preface);
        bytes.advance(preface);
        self.inner.get_mut().inbound.extend(bytes);
        Ok(())
    }

    /// The next whole frame.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        let mut context = Context::from_waker(Waker::noop());
        match Pin::new(&mut self.inner).poll_next(&mut context) {
            Poll::Pending | Poll::Ready(None) => Ok(None),
            Poll::Ready(Some(Ok(frame))) => Ok(Some(read(frame))),
            Poll::Ready(Some(Err(error))) => Err(refused(&error)),
        }
    }

    /// Encodes a frame into the output.
    pub(super) fn send(&mut self, frame: Frame) -> Result<(), FrameError> {
        let Some(frame) = write(frame) else { return Ok(()) };
        let mut context = Context::from_waker(Waker::noop());
        let done = match self.inner.poll_ready(&mut context) {
            Poll::Ready(Ok(())) => {
                self.inner.buffer(frame).map_err(|error| FrameError::Unsendable(error.to_string()))?;
                matches!(self.inner.flush(&mut context), Poll::Ready(Ok(())))
            }
            _ => false,
        };
        // The pipe takes all it is given, so that anything else is a change of the crate's behaviour.
        if done {
            Ok(())
        } else {
            Err(FrameError::Unsendable("the frame codec did not take a frame".to_owned()))
        }
    }

    /// Takes what is to be written to the peer.
    pub(super) fn take_output(&mut self) -> Bytes {
        std::mem::take(&mut self.inner.get_mut().outbound).freeze()
    }

    /// Bytes waiting to be written to the peer.
    pub(super) fn output_len(&self) -> usize {
        self.inner.get_ref().outbound.len()
    }
}

fn read(frame: H2Frame) -> Frame {
    match frame {
        H2Frame::Data(data) => {
            let (stream, end) = (data.stream_id().into(), data.is_end_stream());
            Frame::Data { stream, payload: data.into_payload(), end }
        }
        H2Frame::Headers(headers) => {
            Frame::Headers { stream: headers.stream_id().into(), end: headers.is_end_stream() }
        }
        H2Frame::Reset(reset) => {
            Frame::Reset { stream: reset.stream_id().into(), code: reset.reason().into() }
        }
        H2Frame::Settings(settings) if settings.is_ack() => Frame::SettingsAck,
        H2Frame::Settings(settings) => Frame::Settings(Settings {
            max_concurrent_streams: settings.max_concurrent_streams(),
            initial_window_size: settings.initial_window_size(),
        }),
        H2Frame::Ping(ping) if ping.is_ack() => Frame::Pong(ping.into_payload()),
        H2Frame::Ping(ping) => Frame::Ping(ping.into_payload()),
        H2Frame::GoAway(away) => {
            Frame::GoAway { code: away.reason().into(), debug: away.debug_data().clone() }
        }
        H2Frame::WindowUpdate(update) => {
            Frame::WindowUpdate { stream: update.stream_id().into(), increment: update.size_increment() }
        }
        H2Frame::Priority(_) => Frame::Priority,
        H2Frame::PushPromise(promise) => Frame::PushPromise { stream: promise.stream_id().into() },
    }
}

fn write(frame: Frame) -> Option<H2Frame<Payload>> {
    Some(match frame {
        Frame::Data { stream, payload, end } => {
            let mut data = frame::Data::new(StreamId::from(stream), Payload(payload));
            data.set_end_stream(end);
            data.into()
        }
        Frame::Headers { stream, end } => {
            let mut headers =
                frame::Headers::new(StreamId::from(stream), frame::Pseudo::default(), http::HeaderMap::new());
            if end {
                headers.set_end_stream();
            }
            headers.into()
        }
        Frame::Reset { stream, code } => frame::Reset::new(StreamId::from(stream), Reason::from(code)).into(),
        Frame::Settings(settings) => {
            let mut frame = frame::Settings::default();
            frame.set_max_concurrent_streams(settings.max_concurrent_streams);
            frame.set_initial_window_size(settings.initial_window_size);
            frame.into()
        }
        Frame::SettingsAck => frame::Settings::ack().into(),
        Frame::Ping(payload) => frame::Ping::new(payload).into(),
        Frame::Pong(payload) => frame::Ping::pong(payload).into(),
        Frame::GoAway { code, debug } => {
            frame::GoAway::with_debug_data(StreamId::zero(), Reason::from(code), debug).into()
        }
        Frame::WindowUpdate { stream, increment } => {
            frame::WindowUpdate::new(StreamId::from(stream), increment).into()
        }
        // Encoding either panics in the crate or means nothing here; neither is ever built.
        Frame::Priority | Frame::PushPromise { .. } => return None,
    })
}

fn refused(error: &H2Error) -> FrameError {
    match error {
        H2Error::Reset(stream, reason, _) => FrameError::Refused {
            code: (*reason).into(),
            stream: Some((*stream).into()),
            detail: reason.description().to_owned(),
        },
        H2Error::GoAway(_, reason, _) => FrameError::Refused {
            code: (*reason).into(),
            stream: None,
            detail: reason.description().to_owned(),
        },
        H2Error::Io(kind, detail) => FrameError::Refused {
            code: Reason::FRAME_SIZE_ERROR.into(),
            stream: None,
            detail: detail.clone().unwrap_or_else(|| kind.to_string()),
        },
    }
}

/// A stream in memory: reads what was fed, keeps what was written.
#[derive(Default)]
struct Pipe {
    inbound: VecDeque<u8>,
    outbound: BytesMut,
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.inbound.is_empty() {
            // Reading nothing would say "closed".
            self.inbound = VecDeque::new();
            return Poll::Pending;
        }
        let (front, _) = self.inbound.as_slices();
        let taken = front.get(..into.remaining()).unwrap_or(front);
        let count = taken.len();
        into.put_slice(taken);
        self.inbound.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.outbound.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A payload that lets go of its memory when it is written: the codec keeps the last one it sent.
struct Payload(Bytes);

impl Buf for Payload {
    fn remaining(&self) -> usize {
        self.0.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.0.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.0.advance(count);
        if self.0.is_empty() {
            self.0 = Bytes::new();
        }
    }
}
