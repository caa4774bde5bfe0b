"""What is taken for an e-mail or IP address, wherever it stands in a value."""

from __future__ import annotations

import ipaddress
import random

import pyarrow

from lake_assets.defs.users.pii import count_addresses

EMAILS = (
    *("ajordan0@com.com", "cburns4@miitbeian.gov.cn", "a@b.co", "A.B+tag@sub.example.org", "x_y%z@example.museum"),
    *("write to a@b.org.", "<a@b.org>", "mailto:a@b.org?subject=hi", "a@b.org,c@d.org", '"quoted name"@b.org'),
    *("jürgen@exämple.de", "пример@пример.рф", "a@xn--e1afmkfd.xn--p1ai", "first line\na@b.org\nlast line"),
)
ADDRESSES = (
    *("1.197.201.2", "0.0.0.0", "255.255.255.255", "010.001.001.001", "v1.2.3.4", "from 10.0.0.1.", "10.0.0.1:8080"),
    *("(192.168.0.1)", "a=10.0.0.1;b", "::1", "2001:db8::", "2001:db8::1", "fe80::1%eth0", "[2001:db8::1]:443"),
    *("2001:0db8:85a3:0000:0000:8a2e:0370:7334", "1:2:3:4:5:6:7:8", "::ffff:192.0.2.1", "2001:db8::1/64"),
    *("address:2001:db8::1", "2001:db8::1: unreachable", "2001:DB8::A.", "line\n2001:db8::1\nline"),
)
NEITHER = (
    *("", " ", "@", "a@", "@b.org", "a @ b.org", "a@b", "lodash@4.17.21", "@someone", "(@someone.social)", "a@b.c"),
    *("1.2.3", "1.2.3.4.5", "256.1.1.1", "1.2.3.456", "1.2.3.", "1E+02", "1,197,201,2", "6759521864920116"),
    *("12:34:56", "12:34:56.789", "00:1A:2B:3C:4D:5E", "std::vector", "Foo::Bar", "::", "1:2:3:4:5:6:7", "a:b"),
    *("・(￣∀￣)・:*:", '"<>?:""{}|_+"', "../../../../etc/hosts", "$1.00", "2017-07-28T08:00:00"),
)


def matches(values: tuple[str, ...]) -> list[tuple[bool, bool]]:
    """Return for each value whether it holds an e-mail and an IP address."""
    counts = [count_addresses(pyarrow.array([value])) for value in values]
    return [(bool(found["emails"]), bool(found["ip_addresses"])) for found in counts]


def test_addresses_are_found_and_nothing_else_is() -> None:
    values = (*EMAILS, *ADDRESSES, *NEITHER)
    expected = [(True, False)] * len(EMAILS) + [(False, True)] * len(ADDRESSES) + [(False, False)] * len(NEITHER)
    found = matches(values)
    assert {value: was for value, was, be in zip(values, found, expected, strict=True) if was != be} == {}


def test_every_way_to_write_an_address_of_either_version_is_found() -> None:
    dice = random.Random(4)
    values: list[str] = []
    for _ in range(200):
        # Many zeros, since those are what is left out; never all, since `::` alone is nobody's address.
        groups = [dice.choice((0, 0, dice.getrandbits(16))) for _ in range(7)]
        groups.insert(dice.randrange(8), 1 + dice.getrandbits(15))
        six = ipaddress.IPv6Address(b"".join(group.to_bytes(2, "big") for group in groups))
        four = ipaddress.IPv4Address(dice.getrandbits(32))
        before, after = dice.choice(("", "at ", "x=", "[", '"')), dice.choice(("", " ", "]", '"', ", then", "/32"))
        values += [f"{before}{text}{after}" for text in (six.compressed, six.exploded, six.exploded.upper(), str(four))]
    found = matches(tuple(values))
    assert [value for value, (_, address) in zip(values, found, strict=True) if not address] == []


def test_long_values_take_no_longer_than_they_must() -> None:
    pieces = ("a", "a@", "a.", "@a", "a@a.", "1.", "1.1.1.", "a:", "::", "1:", "a@" + "a" * 63 + ".")
    values = tuple((piece * 1_000_000)[:1_000_000] for piece in pieces)
    assert len(matches(values)) == len(pieces)
