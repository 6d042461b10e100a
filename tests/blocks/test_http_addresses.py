"""Which addresses blocks may call: a table of hostile ones, and the operator's allow list."""

import asyncio
from ipaddress import ip_address

import pytest

from algorail.blocks._addresses import AllowList, is_public, resolve
from algorail.engine.kit.errors import ConfigInvalid, Forbidden, Unavailable

HOSTILE = [
    "127.0.0.1",
    "127.1.2.3",
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "192.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "192.88.99.1",
    "::1",
    "::",
    "::127.0.0.1",
    "::10.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2002:a00:1::",
    "2001::1",
    "2001:0:7f00:1::",
    "fe80::1",
    "fec0::1",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "ff0e::1",
    "2001:db8::1",
    "100::1",
]

PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "93.184.216.34",
    "2606:4700:4700::1111",
    "2a00:1450:4001:82a::200e",
    "::ffff:8.8.8.8",
]


@pytest.mark.parametrize("address", HOSTILE)
def test_hostile(address):
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address):
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "0",
        "::1",
        "::ffff:127.0.0.1",
        "fe80::1%lo",
    ],
)
def test_every_spelling_of_loopback_is_refused(host):
    with pytest.raises((Forbidden, Unavailable)) as caught:
        asyncio.run(resolve(host, 80, AllowList()))
    assert caught.value.code in {"http-forbidden-address", "http-unavailable"}


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 70 + ".example", "..", "x\udcff"])
def test_a_name_that_leads_nowhere(host):
    with pytest.raises(Unavailable):
        asyncio.run(resolve(host, 80, AllowList()))


@pytest.mark.parametrize(
    ("entries", "host", "port", "address", "admitted"),
    [
        (["10.0.0.0/8"], "x", 80, "10.1.2.3", True),
        (["10.0.0.0/8"], "x", 80, "11.1.2.3", True),
        (["10.0.0.7"], "x", 80, "10.0.0.8", False),
        (["10.0.0.7"], "x", 80, "::ffff:10.0.0.7", True),
        (["127.0.0.0/8"], "x", 80, "::127.0.0.1", False),
        (["::1"], "x", 80, "::1", True),
        (["Scorer.internal"], "scorer.INTERNAL", 8080, "10.0.0.1", True),
        (["scorer.internal:8080"], "scorer.internal", 8080, "10.0.0.1", True),
        (["scorer.internal:8080"], "scorer.internal", 8081, "10.0.0.1", False),
        (["scorer.internal"], "evil.scorer.internal", 80, "10.0.0.1", False),
        ([], "x", 80, "10.0.0.1", False),
    ],
)
def test_the_allow_list(entries, host, port, address, admitted):
    assert AllowList.parse(entries).admits(host, port, ip_address(address)) is admitted


@pytest.mark.parametrize("entry", ["10.0.0.0/99", "http://x", "x:y", ":80", "", "x:"])
def test_an_allow_list_that_cannot_be(entry):
    with pytest.raises(ConfigInvalid):
        AllowList.parse([entry])
