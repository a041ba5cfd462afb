//! Which addresses this service may call: strangers must not make it knock at doors of the house.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    n_bits: u8,
}

/// Networks that may be called although they are private.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Networks(Vec<Network>);

/// Not a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no network like 10.0.0.0/8 or fd00::/8")]
pub struct InvalidNetwork(String);

impl FromStr for Networks {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        named.map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidNetwork(text.chars().take(60).collect());
        let (address, n_bits) = text.split_once('/').unzip();
        let address: IpAddr = address.unwrap_or(text).parse().map_err(|_| invalid())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let n_bits = n_bits.map_or(Ok(most), str::parse).map_err(|_| invalid())?;
        if n_bits > most { Err(invalid()) } else { Ok(Self { address, n_bits }) }
    }
}

impl Network {
    const fn v4(a: u8, b: u8, c: u8, n_bits: u8) -> Self {
        Self { address: IpAddr::V4(Ipv4Addr::new(a, b, c, 0)), n_bits }
    }

    const fn v6(first: u16, second: u16, n_bits: u8) -> Self {
        let address = IpAddr::V6(Ipv6Addr::new(first, second, 0, 0, 0, 0, 0, 0));
        Self { address, n_bits }
    }

    fn has(&self, address: IpAddr) -> bool {
        let (own, other, most) = match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                (u128::from(own.to_bits()), u128::from(other.to_bits()), 32)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => (own.to_bits(), other.to_bits(), 128),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
        };
        let shift = most - u32::from(self.n_bits);
        own.checked_shr(shift).unwrap_or(0) == other.checked_shr(shift).unwrap_or(0)
    }
}

/// What is not for everybody. Source: the special-purpose registries of IANA (RFC 6890 and later).
const PRIVATE: [Network; 24] = [
    Network::v4(0, 0, 0, 8),
    Network::v4(10, 0, 0, 8),
    Network::v4(100, 64, 0, 10),
    Network::v4(127, 0, 0, 8),
    Network::v4(169, 254, 0, 16),
    Network::v4(172, 16, 0, 12),
    Network::v4(192, 0, 0, 24),
    Network::v4(192, 0, 2, 24),
    Network::v4(192, 88, 99, 24),
    Network::v4(192, 168, 0, 16),
    Network::v4(198, 18, 0, 15),
    Network::v4(198, 51, 100, 24),
    Network::v4(203, 0, 113, 24),
    Network::v4(224, 0, 0, 3),
    // Unspecified, loopback, and addresses of version 4 in the old writing.
    Network::v6(0, 0, 32),
    // Discard only.
    Network::v6(0x100, 0, 16),
    // Translated addresses of a local network.
    Network::v6(0x64, 0xff9b, 32),
    // Teredo and other protocols, documentation.
    Network::v6(0x2001, 0, 23),
    Network::v6(0x2001, 0xdb8, 32),
    // Version 4 within version 6.
    Network::v6(0x2002, 0, 16),
    Network::v6(0x3fff, 0, 20),
    // Unique local, link local, multicast.
    Network::v6(0xfc00, 0, 7),
    Network::v6(0xfe80, 0, 9),
    Network::v6(0xff00, 0, 8),
];

impl Networks {
    /// Whether an address may be called: it is public, or in a network that is named.
    #[must_use]
    pub fn allow(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let has = |network: &Network| network.has(address);
        self.0.iter().any(has) || !PRIVATE.iter().any(has)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_refused_unless_their_network_is_named() {
        let none = Networks::default();
        let some: Networks = "10.1.0.0/16, 127.0.0.1,fd00::/8".parse().expect("networks");
        for (address, by_none, by_some) in [
            ("93.184.216.34", true, true),
            ("2606:2800:220:1::1", true, true),
            ("127.0.0.1", false, true),
            ("127.0.0.2", false, false),
            ("10.1.2.3", false, true),
            ("10.2.2.3", false, false),
            ("169.254.169.254", false, false),
            ("172.31.255.255", false, false),
            ("172.32.0.0", true, true),
            ("100.64.0.1", false, false),
            ("0.0.0.0", false, false),
            ("255.255.255.255", false, false),
            ("224.0.0.1", false, false),
            ("::1", false, false),
            ("::", false, false),
            ("::ffff:127.0.0.1", false, true),
            ("::ffff:93.184.216.34", true, true),
            ("::127.0.0.1", false, false),
            ("64:ff9b::7f00:1", false, false),
            ("2002:7f00:1::", false, false),
            ("fd12::1", false, true),
            ("fe80::1", false, false),
            ("ff02::1", false, false),
        ] {
            let parsed: IpAddr = address.parse().expect("an address");
            assert_eq!(none.allow(parsed), by_none, "{address}");
            assert_eq!(some.allow(parsed), by_some, "{address}");
        }
        let all: Networks = "0.0.0.0/0,::/0".parse().expect("networks");
        assert!(all.allow("127.0.0.1".parse().expect("an address")));
        assert!(all.allow("::1".parse().expect("an address")));
    }

    #[test]
    fn networks_that_are_none() {
        for wrong in ["10.0.0.0/33", "::/129", "10.0.0", "localhost", "10.0.0.0/", "10.0.0.0/-1"] {
            assert!(wrong.parse::<Networks>().is_err(), "{wrong}");
        }
        assert_eq!("".parse::<Networks>(), Ok(Networks::default()));
    }
}
