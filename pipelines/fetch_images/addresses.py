"""Which addresses may be asked: a catalogue is foreign input, and must not make this machine call its own network."""

import ipaddress
import socket

from pipelines.fetch_images.errors import FetchError

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
#: All that is given to hosts of the public internet; the rest are local, reserved, or old ways to carry IPv4.
_IPV6_HOSTS = ipaddress.ip_network("2000::/3")
#: Of protocols and of relays that are no more, and of documentation: no picture is there, and ipaddress has not all.
_SPECIAL = [ipaddress.ip_network(block) for block in ("192.0.0.0/24", "192.88.99.0/24", "3fff::/20")]


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet; an IPv6 address that carries an IPv4 one is as that is.

    >>> [is_public(a) for a in ("93.184.216.34", "10.0.0.1", "127.0.0.1", "169.254.169.254", "::ffff:10.0.0.1")]
    [True, False, False, False, False]
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        carried = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            carried = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if carried is not None:
            return is_public(str(carried))
        if ip not in _IPV6_HOSTS:
            return False
    if any(ip in block for block in _SPECIAL):
        return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


def addresses_of(host: str, port: int, allow_private: bool) -> list[str]:
    """The IP addresses of a host, in the order to try. The connection goes to one of them and the name is not looked up
    again: a second answer could be another. Raises FetchError: unreachable, private_address (if any of them is)."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise FetchError("unreachable", "a host with an address", f"{error} for {host}") from error
    addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
    private = [address for address in addresses if not is_public(address)]
    if private and not allow_private:
        raise FetchError("private_address", "a host on the public internet", f"{host} at {private[0]}")
    return addresses
