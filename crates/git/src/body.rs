//! The body of a request: decoded, counted and bounded.
//!
//! Both what comes over the wire and what it unfolds to are untrusted: decoding goes on in small
//! steps, so that a few compressed kilobytes never become gigabytes in memory.

use std::io::{self, Write as _};
use std::time::Duration;

use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;

use crate::{GitError, Protocol};

/// A client that sends nothing for so long is taken for gone.
const IDLE_LIMIT: Duration = Duration::from_secs(300);

/// How much compressed input is decoded at once, in bytes. Gzip unfolds by a factor of 1032 at most.
const STEP: usize = 4096;

/// The bytes that a client sends.
pub type RequestBody = BoxStream<'static, io::Result<Bytes>>;

/// A `POST` to one of the services.
pub struct Request {
    /// The body as it comes from the connection.
    pub body: RequestBody,
    /// How the body is encoded.
    pub encoding: Encoding,
    /// The `Git-Protocol` header.
    pub protocol: Protocol,
}

/// The `Content-Encoding` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// As it is.
    #[default]
    Identity,
    /// Compressed with gzip, as git does with larger requests to fetch.
    Gzip,
}

impl Encoding {
    /// Reads the header's value; no header means [`Encoding::Identity`].
    ///
    /// # Errors
    /// When the encoding is none that git uses.
    pub fn from_header(value: Option<&str>) -> Result<Self, GitError> {
        match value {
            None | Some("" | "identity") => Ok(Self::Identity),
            Some("gzip" | "x-gzip") => Ok(Self::Gzip),
            Some(_) => Err(GitError::invalid(
                "the Content-Encoding is neither gzip nor identity",
            )),
        }
    }
}

/// The decoded body, chunk by chunk.
pub(crate) struct Body {
    source: RequestBody,
    decoder: Option<MultiGzDecoder<Vec<u8>>>,
    compressed: Bytes,
    read: u64,
    limit: u64,
}

impl Body {
    /// At most `limit` decoded bytes.
    pub(crate) fn new(source: RequestBody, encoding: Encoding, limit: u64) -> Self {
        Self {
            source,
            decoder: (encoding == Encoding::Gzip).then(|| MultiGzDecoder::new(Vec::new())),
            compressed: Bytes::new(),
            read: 0,
            limit,
        }
    }

    /// The next chunk, never empty; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, GitError> {
        let chunk = match self.decoder {
            None => self.next_raw().await?,
            Some(_) => self.next_decoded().await?,
        };
        self.read += chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        if self.read > self.limit {
            return Err(GitError::TooLarge {
                what: "the request".to_owned(),
                limit: self.limit,
            });
        }
        Ok(chunk)
    }

    async fn next_raw(&mut self) -> Result<Option<Bytes>, GitError> {
        loop {
            let next = tokio::time::timeout(IDLE_LIMIT, self.source.next())
                .await
                .map_err(|_| GitError::Interrupted(io::ErrorKind::TimedOut.into()))?;
            match next.transpose().map_err(GitError::Interrupted)? {
                Some(chunk) if chunk.is_empty() => {}
                other => return Ok(other),
            }
        }
    }

    async fn next_decoded(&mut self) -> Result<Option<Bytes>, GitError> {
        loop {
            if self.compressed.is_empty() {
                match self.next_raw().await? {
                    Some(chunk) => self.compressed = chunk,
                    None => return self.finish_decoding(),
                }
            }
            let step = self.compressed.split_to(self.compressed.len().min(STEP));
            let decoded = self.decode(|decoder| decoder.write_all(&step))?;
            if !decoded.is_empty() {
                return Ok(Some(decoded));
            }
        }
    }

    /// What the decoder still holds; afterwards the body is an empty plain one.
    fn finish_decoding(&mut self) -> Result<Option<Bytes>, GitError> {
        let rest = self.decode(MultiGzDecoder::try_finish)?;
        self.decoder = None;
        Ok(Some(rest).filter(|rest| !rest.is_empty()))
    }

    fn decode(
        &mut self,
        step: impl FnOnce(&mut MultiGzDecoder<Vec<u8>>) -> io::Result<()>,
    ) -> Result<Bytes, GitError> {
        let Some(decoder) = &mut self.decoder else {
            return Ok(Bytes::new());
        };
        step(decoder).map_err(|_| GitError::invalid("the body is not valid gzip"))?;
        Ok(std::mem::take(decoder.get_mut()).into())
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use futures_util::stream;

    use super::*;

    fn body(bytes: Vec<u8>, encoding: Encoding, limit: u64) -> Body {
        let chunks: Vec<_> = bytes
            .chunks(1000)
            .map(|chunk| Ok(Bytes::copy_from_slice(chunk)))
            .collect();
        Body::new(stream::iter(chunks).boxed(), encoding, limit)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    async fn all(mut body: Body) -> Result<Vec<u8>, GitError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = body.next().await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    #[tokio::test]
    async fn plain_and_gzip_give_the_same() {
        let text: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        let plain = body(text.clone(), Encoding::Identity, 1 << 20);
        assert_eq!(all(plain).await.unwrap(), text);
        let zipped = body(gzip(&text), Encoding::Gzip, 1 << 20);
        assert_eq!(all(zipped).await.unwrap(), text);
    }

    #[tokio::test]
    async fn a_bomb_is_stopped_at_the_limit() {
        let bomb = gzip(&vec![0; 64 << 20]);
        assert!(bomb.len() < 100_000);
        let error = all(body(bomb, Encoding::Gzip, 1 << 20)).await.unwrap_err();
        assert!(matches!(error, GitError::TooLarge { .. }), "{error}");
    }

    #[tokio::test]
    async fn garbage_and_truncated_gzip_are_refused() {
        let mut cut = gzip(b"some text that is long enough to be cut");
        cut.truncate(cut.len() - 9);
        for bytes in [b"not gzip at all".to_vec(), cut] {
            let error = all(body(bytes, Encoding::Gzip, 1000)).await.unwrap_err();
            assert!(matches!(error, GitError::InvalidRequest { .. }), "{error}");
        }
    }
}
