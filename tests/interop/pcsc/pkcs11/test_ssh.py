# SPDX-License-Identifier: Apache-2.0
"""OpenSSH with a key behind PKCS#11: its public keys, and an agent that signs."""

from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.serialization import load_ssh_public_key
from tests.card_table import CardTable, card_table
from tests.interop.pcsc.judge import MESSAGE
from tests.interop.pcsc.pkcs11.ssh_agent import judge_ssh, ssh_agent
from tests.interop.pcsc.stories import FIRMWARES, OPENSC, PIN, YKCS11, Holder, holder
from yubikit.piv import KEY_TYPE, SLOT

from pivgate.emulator.piv.references import Secret

pytestmark = pytest.mark.interop

Place = tuple[CardTable, Holder]
# No key whose PIN is wanted each time; see below.
STORIES = {
    "p256": {SLOT.AUTHENTICATION: KEY_TYPE.ECCP256, SLOT.CARD_AUTH: KEY_TYPE.RSA2048},
    "p384": {SLOT.AUTHENTICATION: KEY_TYPE.ECCP384, SLOT.CARD_AUTH: KEY_TYPE.RSA1024},
}


@pytest.fixture(params=[f"{firmware}-{name}" for firmware in FIRMWARES for name in STORIES])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    firmware, name = request.param.split("-")
    alice = holder(firmware, STORIES[name])
    with card_table(alice.yubikey) as table:
        yield table, alice


@pytest.mark.parametrize("module", [OPENSC, YKCS11], ids=["opensc", "ykcs11"])
def test_keygen_lists_the_public_keys_and_the_agent_signs(place: Place, module: str) -> None:
    table, alice = place
    listed = table.run("ssh-keygen", "-D", module)
    assert listed.returncode == 0, listed
    keys = [load_ssh_public_key(line.encode()) for line in listed.stdout.splitlines()]
    assert all(alice.public_key(slot) in keys for slot in alice.certificates)

    with ssh_agent(table) as agent:
        assert agent.add(module, PIN).returncode == 0
        tried = table.pins()
        for slot in alice.certificates:
            public_key = alice.public_key(slot)
            done, signature = agent.sign(public_key, MESSAGE)
            assert done.returncode == 0, done
            judge_ssh(public_key, MESSAGE, signature)
        assert table.pins() == tried, "the PIN was asked for once, when the keys were added"


@pytest.mark.parametrize("module", [OPENSC, YKCS11], ids=["opensc", "ykcs11"])
def test_a_wrong_pin_costs_one_try_and_adds_no_key_that_signs(module: str) -> None:
    alice = holder("5.4.3", {SLOT.AUTHENTICATION: KEY_TYPE.ECCP256})
    with card_table(alice.yubikey) as table, ssh_agent(table) as agent:
        agent.add(module, "000000")
        assert alice.yubikey.piv.state.secrets[Secret.PIN].left == 2
        done, _ = agent.sign(alice.public_key(SLOT.AUTHENTICATION), MESSAGE)
        assert done.returncode
        assert table.signatures() == 0


@pytest.mark.parametrize("module", [OPENSC, YKCS11], ids=["opensc", "ykcs11"])
def test_the_agent_cannot_ask_for_the_pin_that_slot_9c_wants_each_time(module: str) -> None:
    alice = holder("5.4.3", {SLOT.SIGNATURE: KEY_TYPE.ECCP256})
    with card_table(alice.yubikey) as table, ssh_agent(table) as agent:
        assert agent.add(module, PIN).returncode == 0
        done, _ = agent.sign(alice.public_key(SLOT.SIGNATURE), MESSAGE)
        assert done.returncode == 255
        assert "agent refused operation" in done.stderr
        assert not [command for command, _ in table.log if command[1] == 0x87]
