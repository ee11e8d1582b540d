# SPDX-License-Identifier: Apache-2.0
"""``hold_card.py NUMBER``: keep the card in a reader for this process alone until standard input ends."""

import sys

from smartcard import System
from smartcard.ExclusiveConnectCardConnection import ExclusiveConnectCardConnection

connection = ExclusiveConnectCardConnection(System.readers()[int(sys.argv[1])].createConnection())
connection.connect()
sys.stdout.write("held\n")
sys.stdout.flush()
sys.stdin.read()
connection.disconnect()
