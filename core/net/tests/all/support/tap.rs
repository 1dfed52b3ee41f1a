//! A stream that remembers every byte: what an eavesdropper has who has seen a whole connection.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The bytes of one connection in both directions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Record(Arc<Mutex<(Vec<u8>, Vec<u8>)>>);

impl Record {
    fn add(&self, said: &[u8], heard: &[u8]) {
        let mut both = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        both.0.extend_from_slice(said);
        both.1.extend_from_slice(heard);
    }

    /// What the client said: its request, and then its frames.
    pub(crate) fn said(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// What the server said: its answer, and then its frames.
    pub(crate) fn heard(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.clone()
    }
}

/// A stream with its record.
#[derive(Debug)]
pub(crate) struct Tap<S> {
    stream: S,
    record: Record,
}

impl<S> Tap<S> {
    pub(crate) fn new(stream: S) -> (Self, Record) {
        let record = Record::default();
        (Self { stream, record: record.clone() }, record)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tap<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, into);
        self.record.add(&[], &into.filled()[before..]);
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tap<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(length)) = &written {
            self.record.add(&bytes[..*length], &[]);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
