# SPDX-License-Identifier: Apache-2.0
"""The registry: all that can be asked of it and done to it, in one object."""

from pivgate.registry.certificates import Certificates
from pivgate.registry.force import Force
from pivgate.registry.groups import Groups
from pivgate.registry.journal import Journal
from pivgate.registry.keys import Keys
from pivgate.registry.users import Users


class Registry(Users, Groups, Keys, Certificates, Force, Journal):
    """Users, groups, keys, certificates, what is in force, and the events.

    ``Registry.create(path, audit_head_path)`` makes one, ``Registry.open(path, audit_head_path)`` opens it.
    Every change takes ``actor`` (who makes it) and ``now`` (a moment with a time zone), and its event is
    part of the same transaction. An object belongs to one thread.
    """
