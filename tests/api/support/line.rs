//! HTTP/1.1 by hand: a client library would send a lost request again and hide the loss.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// One connection.
pub struct Line(BufReader<TcpStream>);

pub struct Reply {
    pub status: u16,
    pub closes: bool,
    pub text: String,
    /// `null` when it is no JSON.
    pub body: Value,
}

impl Line {
    pub fn open(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(Self(BufReader::new(stream)))
    }

    pub fn send(&mut self, part: &str) -> io::Result<()> {
        self.0.get_mut().write_all(part.as_bytes())
    }

    /// Whole request, whole answer; anything less is an error.
    pub fn ask(&mut self, request: &str) -> io::Result<Reply> {
        self.send(request)?;
        let (mut status, mut length, mut closes) = (None, None, false);
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            } else if let Some(rest) = line.strip_prefix("http/1.1 ") {
                status = rest.split(' ').next().and_then(|status| status.parse().ok());
            } else if let Some(rest) = line.strip_prefix("content-length: ") {
                length = rest.parse().ok();
            } else if line == "connection: close" {
                closes = true;
            }
        }
        // RFC 9112 §6.3: 204 has no body, and says no length.
        let length = if status == Some(204) { Some(0) } else { length };
        let (Some(status), Some(length)) = (status, length) else {
            return Err(io::Error::other("half a head"));
        };
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        let text = String::from_utf8_lossy(&body).into_owned();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Ok(Reply { status, closes, text, body })
    }
}

/// The text of a request, with a JSON body unless it is null.
pub fn http_request(method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> String {
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: a\r\n");
    for (name, value) in headers {
        let _ = write!(request, "{name}: {value}\r\n");
    }
    if body.is_null() {
        return request + "\r\n";
    }
    let body = body.to_string();
    let _ = write!(request, "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    request
}
