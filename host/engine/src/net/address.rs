//! Which addresses may be dialled: [`forbidden`], and [`GuardedResolver`] that never hands out one which may not.
//!
//! Link-local addresses are where clouds keep the credentials of the machine, so no server may send us there. Private and
//! loopback ranges are ordinary here: mirrors live in them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// A name or literal leads to an address that is never dialled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{host}` leads to the address `{address}`, which is reserved for the machine itself or for no host at all"
)]
pub struct ForbiddenAddress {
    /// The name.
    pub host: String,
    /// Where it leads.
    pub address: IpAddr,
}

/// Addresses of metadata services outside the link-local ranges: AWS over IPv6, Alibaba, Azure, Oracle.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254);

/// Answers whether an address is link-local, a metadata service, unspecified, multicast or broadcast.
///
/// IPv6 forms that carry an IPv4 address (mapped, compatible, 6to4, NAT64) are judged by it.
pub fn forbidden(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            v4.is_link_local()
                || v4.octets()[0] == 0
                || v4.is_multicast()
                || v4.is_broadcast()
                || METADATA_V4.contains(&v4)
        }
        IpAddr::V6(v6) => {
            v6.is_unicast_link_local()
                || v6.is_unspecified()
                || v6.is_multicast()
                || v6 == METADATA_V6
                || embedded(v6).is_some_and(|v4| forbidden(v4.into()))
        }
    }
}

/// Answers whether an address belongs to no public host: loopback, private, shared or unique local.
pub fn private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_loopback() || v4.is_private() || (a == 100 && (64..128).contains(&b))
        }
        IpAddr::V6(v6) => {
            v6.is_loopback() || v6.is_unique_local() || embedded(v6).is_some_and(|v4| private(v4.into()))
        }
    }
}

fn embedded(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = v6.segments();
    let v4 = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    match s {
        [0, 0, 0, 0, 0, 0xffff, high, low] => Some(v4(high, low)),
        // `::` and `::1` look compatible and are not.
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => Some(v4(high, low)),
        [0x0064, 0xff9b, 0, 0, 0, 0, high, low] => Some(v4(high, low)),
        [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    }
}

/// Returns the address of a URL whose host is one.
pub fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(v4) => Some(v4.into()),
        Host::Ipv6(v6) => Some(v6.into()),
        Host::Domain(_) => None,
    }
}

/// Refuses a URL whose host is a forbidden address. Names are checked by the resolver, when they are dialled.
pub fn check_literal(url: &Url) -> Result<(), ForbiddenAddress> {
    match literal(url).filter(|a| forbidden(*a)) {
        Some(address) => {
            Err(ForbiddenAddress { host: url.host_str().unwrap_or_default().to_owned(), address })
        }
        None => Ok(()),
    }
}

/// Resolves names as the system does and leaves out forbidden addresses, so that what was checked is what is dialled.
#[derive(Clone, Debug, Default)]
pub struct GuardedResolver {
    /// The one host that the user named, who may have a reason to be on the local link.
    pub exempt: Option<String>,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        let exempt = self.exempt.as_deref().is_some_and(|e| e.eq_ignore_ascii_case(&host));
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            let allowed: Vec<SocketAddr> =
                found.iter().copied().filter(|a| exempt || !forbidden(a.ip())).collect();
            match (allowed.is_empty(), found.first()) {
                (true, Some(first)) => Err(ForbiddenAddress { host, address: first.ip() }.into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("169.254.169.254")]
    #[case("::ffff:169.254.169.254")]
    #[case("::169.254.169.254")]
    #[case("64:ff9b::a9fe:a9fe")]
    #[case("2002:a9fe:a9fe::1")]
    #[case("fe80::1")]
    #[case("fd00:ec2::254")]
    #[case("100.100.100.200")]
    #[case("0.0.0.0")]
    #[case("0.1.2.3")]
    #[case("::")]
    #[case("224.0.0.1")]
    #[case("255.255.255.255")]
    #[case("ff02::1")]
    fn never_dialled(#[case] address: &str) {
        assert!(forbidden(address.parse().unwrap()));
    }

    #[rstest]
    #[case("127.0.0.1", true)]
    #[case("::1", true)]
    #[case("10.1.2.3", true)]
    #[case("100.64.0.1", true)]
    #[case("fd12::1", true)]
    #[case("::ffff:192.168.1.1", true)]
    #[case("8.8.8.8", false)]
    #[case("2606:4700::1111", false)]
    fn dialled(#[case] address: &str, #[case] is_private: bool) {
        let address = address.parse().unwrap();
        assert!(!forbidden(address));
        assert_eq!(private(address), is_private);
    }

    #[test]
    fn odd_spellings_of_an_address_are_seen_through() {
        for text in ["http://0xa9.254.169.254/", "http://2852039166/", "http://[::ffff:a9fe:a9fe]/"] {
            assert!(check_literal(&Url::parse(text).unwrap()).is_err(), "{text}");
        }
        assert!(check_literal(&Url::parse("http://127.0.0.1/").unwrap()).is_ok());
    }

    #[tokio::test]
    async fn names_are_resolved() {
        let resolver = GuardedResolver::default();
        let found = resolver.resolve("localhost".parse().unwrap()).await;
        assert!(found.is_ok_and(|mut a| a.next().is_some()));
    }
}
