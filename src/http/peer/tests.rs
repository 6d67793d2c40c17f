use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

use super::client_address;
use crate::settings::{ServerSettings, Sources};

const PROXY: &str = "10.0.0.1";

/// Trusts `10.0.0.0/24` and `fd00::/64`.
static SETTINGS: LazyLock<ServerSettings> = LazyLock::new(|| {
    let sources = Sources::defaults().with("server.trusted_proxies", "10.0.0.0/24,fd00::/64");
    sources.load().expect("settings").server
});

fn address_of(peer: &str, lines: &[&[u8]]) -> IpAddr {
    let mut headers = HeaderMap::new();
    for line in lines {
        let value = HeaderValue::from_bytes(line).expect("a header");
        headers.append(HeaderName::from_static("x-forwarded-for"), value);
    }
    client_address(peer.parse().expect("an address"), &headers, &SETTINGS)
}

/// The ways in which proxies write an address.
fn written(address: IpAddr) -> Vec<String> {
    match address {
        IpAddr::V4(address) => {
            vec![
                address.to_string(),
                format!("{address}:4711"),
                format!("[{address}]"),
                format!("[::ffff:{address}]:1"),
            ]
        }
        IpAddr::V6(address) => {
            vec![address.to_string(), format!("[{address}]"), format!("[{address}]:65535")]
        }
    }
}

fn any_address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
        any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits))),
    ]
}

/// What a client may write: any bytes that a header may have.
fn any_value() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(prop_oneof![0x20u8..0x7f, 0x80u8..=0xff, Just(b','), Just(b'\t')], 0..80)
}

proptest! {
    /// The right-most entry is the proxy's own word, whatever stands left of it in the same line or in lines before.
    #[test]
    fn nothing_on_the_left_hides_what_the_proxy_appended(
        client in any_address(), before in any_value(), line in any_value(), form in 0usize..4, spaces in 0usize..3,
    ) {
        prop_assume!(!SETTINGS.trusts(client.to_canonical()));
        let forms = written(client);
        let ours = format!("{}{}", " ".repeat(spaces), forms[form % forms.len()]);
        let appended = [&before[..], b",", ours.as_bytes()].concat();
        let expected = client.to_canonical();
        prop_assert_eq!(address_of(PROXY, &[&appended]), expected);
        prop_assert_eq!(address_of(PROXY, &[&line, &appended]), expected);
        prop_assert_eq!(address_of(PROXY, &[&before, ours.as_bytes()]), expected);
        // Empty entries and trusted proxies between it and us say nothing.
        let with_empty = [&appended[..], b", ,,"].concat();
        prop_assert_eq!(address_of(PROXY, &[&with_empty]), expected);
        let with_proxies = [&appended[..], b", 10.0.0.7:80, [fd00::1]:443,\t"].concat();
        prop_assert_eq!(address_of(PROXY, &[&with_proxies, b"fd00::2", b""]), expected);
    }

    /// Whatever comes, there is an address, and it is the peer's own unless the peer is trusted.
    #[test]
    fn a_peer_that_is_not_trusted_is_the_client(peer in any_address(), lines in proptest::collection::vec(any_value(), 0..4)) {
        let lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
        let found = address_of(&peer.to_string(), &lines);
        if !SETTINGS.trusts(peer.to_canonical()) {
            prop_assert_eq!(found, peer.to_canonical());
        }
    }
}

#[test]
fn an_entry_that_cannot_be_read_counts_against_the_proxy_that_handed_it_on() {
    let cases: [(&[u8], &str); 15] = [
        (b"\xff", PROXY),
        (b"198.51.100.7, \xff", PROXY),
        (b"198.51.100.7, unknown", PROXY),
        (b"198.51.100.7, _hidden", PROXY),
        (b"198.51.100.7, 1.2.3.4:", PROXY),
        (b"198.51.100.7, 1.2.3.4:65536", PROXY),
        (b"198.51.100.7, [::1", PROXY),
        (b"198.51.100.7, [::1]:x", PROXY),
        (b"198.51.100.7, 1.2.3.4 5.6.7.8", PROXY),
        (b"198.51.100.7, \"1.2.3.4\"", PROXY),
        (b"198.51.100.7, 1.2.3.256", PROXY),
        // The proxy before ours handed it on, so it counts against that one.
        (b"198.51.100.7, \xff, 10.0.0.9", "10.0.0.9"),
        (b"198.51.100.7, \xff, 10.0.0.9, ::ffff:10.0.0.8", "10.0.0.9"),
        // What stands further left is not looked at any more.
        (b"\xff, 203.0.113.9, 10.0.0.9", "203.0.113.9"),
        (b"", PROXY),
    ];
    for (value, expected) in cases {
        let found = address_of(PROXY, &[value]).to_string();
        assert_eq!(found, expected, "{}", value.escape_ascii());
    }
}

#[test]
fn when_every_entry_is_trusted_the_left_most_is_the_client() {
    assert_eq!(address_of(PROXY, &[b"10.0.0.3, 10.0.0.2"]).to_string(), "10.0.0.3");
    assert_eq!(address_of(PROXY, &[]).to_string(), PROXY);
}
