//! Which addresses are public (IANA, special-purpose address registries).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// A host is none that may be asked.
#[derive(Debug, thiserror::Error)]
#[error("the host has no public address")]
pub(super) struct NotPublic;

/// Looks names up and keeps public addresses only: the address that was checked is the one that is
/// connected to. A proxy, which is looked up as well, may be anywhere.
#[derive(Debug)]
pub(super) struct PublicResolver {
    proxies: Vec<String>,
}

/// Where the HTTP client finds its proxies.
const PROXY_VARIABLES: [&str; 3] = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];

impl PublicResolver {
    /// With the proxies that `variable`, which reads the environment, knows.
    pub(super) fn new(variable: impl Fn(&str) -> Option<String>) -> Self {
        let names = PROXY_VARIABLES.map(|name| [name.to_owned(), name.to_lowercase()]);
        let given = names.iter().flatten().filter_map(|name| variable(name));
        Self {
            proxies: given.filter_map(|proxy| host(&proxy)).collect(),
        }
    }
}

/// The host of a proxy's address, which may lack a scheme.
fn host(proxy: &str) -> Option<String> {
    let address = match proxy.contains("://") {
        true => proxy.to_owned(),
        false => format!("http://{proxy}"),
    };
    let url: Url = address.parse().ok()?;
    Some(url.host_str()?.to_lowercase())
}

impl Resolve for PublicResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let any = self.proxies.iter().any(|proxy| proxy == name.as_str());
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let may_be_asked = |found: &SocketAddr| any || is_public(found.ip());
            let public: Vec<SocketAddr> = found.filter(may_be_asked).collect();
            match public.is_empty() {
                true => Err(NotPublic.into()),
                false => Ok(Box::new(public.into_iter()) as Addrs),
            }
        })
    }
}

/// Whether anybody may be there, and not only who shares a network with us.
pub(super) fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = ip.is_loopback()
        || ip.is_private()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_documentation()
        // this network; carriers' networks; protocols; benchmarks; the future
        || a == 0
        || (a == 100 && b & 0xc0 == 64)
        || (a, b, c) == (192, 0, 0)
        || (a == 198 && b & 0xfe == 18)
        || a >= 240;
    !special
}

/// Public is what lies in `2000::/3` and leads to no IPv4 address that is not.
fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [a, b, c, ..] = ip.segments();
    if let Some(mapped) = ip.to_ipv4_mapped() {
        return is_public_v4(mapped);
    }
    let [high, low] = [b, c].map(u16::to_be_bytes);
    let six_to_four = Ipv4Addr::new(high[0], high[1], low[0], low[1]);
    match (a, b) {
        (0x2002, _) => is_public_v4(six_to_four),
        // Teredo, benchmarks, documentation
        (0x2001, 0 | 2 | 0xdb8) => false,
        _ => a & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_of_no_public_address_is_refused_unless_it_is_the_proxys() {
        for (proxy, known) in [
            (None, false),
            (Some("http://user:secret@LOCALHOST:3128/"), true),
            (Some("localhost:3128"), true),
            (Some("proxy.example.org"), false),
        ] {
            let only = |name: &str| proxy.filter(|_| name == "https_proxy").map(str::to_owned);
            let resolver = PublicResolver::new(only);
            let found = resolver.resolve("localhost".parse().unwrap()).await;
            assert_eq!(found.is_ok(), known, "{proxy:?}");
        }
    }

    #[test]
    fn what_is_public() {
        for (ip, expected) in [
            ("93.184.216.34", true),
            ("127.0.0.1", false),
            ("127.9.9.9", false),
            ("10.0.0.1", false),
            ("172.16.0.1", false),
            ("192.168.1.1", false),
            ("169.254.169.254", false),
            ("100.64.0.1", false),
            ("0.0.0.0", false),
            ("198.18.0.1", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("2606:2800:220:1::1", true),
            ("::1", false),
            ("::", false),
            ("fe80::1", false),
            ("fd00::1", false),
            ("ff02::1", false),
            ("::ffff:127.0.0.1", false),
            ("::ffff:93.184.216.34", true),
            ("2002:7f00:1::", false),
            ("64:ff9b::7f00:1", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_public(ip.parse().unwrap()), expected, "{ip}");
        }
    }
}
