//! One small request at a time, for what is not measured: readiness, metrics, the first exchange of each user.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use crate::error::{Result, failed};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// An answer: its status and its body as text.
pub struct Answer {
    /// Of the status line.
    pub status: u16,
    /// Everything after the empty line.
    pub body: String,
}

/// `GET path` at a port of loopback.
///
/// # Errors
/// No connection, or no answer.
pub fn get(port: u16, path: &str) -> Result<Answer> {
    send(port, &format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"))
}

/// Exchanges a Google ID token for one of ours.
///
/// # Errors
/// Any answer but 200 with a token in it.
pub fn exchange(port: u16, id_token: &str) -> Result<String> {
    let body = json!({ "id_token": id_token }).to_string();
    let answer = send(
        port,
        &format!(
            "POST /auth/google HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ),
    )?;
    let json: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    match json["access_token"].as_str() {
        Some(token) if answer.status == 200 => Ok(token.to_owned()),
        _ => Err(failed(format!("an exchange was answered {}: {}", answer.status, answer.body))),
    }
}

fn send(port: u16, request: &str) -> Result<Answer> {
    let mut line = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    line.set_read_timeout(Some(PATIENCE))?;
    line.write_all(request.as_bytes())?;
    let mut text = String::new();
    line.read_to_string(&mut text)?;
    parse(&text).ok_or_else(|| failed(format!("no HTTP answer: {text:?}")))
}

fn parse(text: &str) -> Option<Answer> {
    let status = text.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let (_, body) = text.split_once("\r\n\r\n")?;
    Some(Answer { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_its_status_and_its_body() {
        let answer = parse("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\n{}").unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (503, "{}"));
        assert!(parse("").is_none());
        assert!(parse("HTTP/1.1 200 OK\r\n").is_none());
    }
}
