# SPDX-License-Identifier: Apache-2.0
"""A program that signs with all keys of a PKCS#11 module at once, a thread for each; a test runs it.

    python sign_at_once.py MODULE PIN ROUNDS < MESSAGE

Prints a line for each signature: the number of the slot and the signature, hexadecimal, r and s.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

import pkcs11


def sign(number: int, token: pkcs11.Token, pin: str, rounds: int, message: bytes) -> None:
    with token.open(user_pin=pin) as session:
        key = session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, id=b"\x01")
        for _ in range(rounds):
            signature = key.sign(message, mechanism=pkcs11.Mechanism.ECDSA_SHA256)
            sys.stdout.write(f"{number} {signature.hex()}\n")


def main() -> None:
    module, pin, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
    message = sys.stdin.buffer.read()
    tokens = [slot.get_token() for slot in pkcs11.lib(module).get_slots(token_present=True)]
    with ThreadPoolExecutor(len(tokens)) as pool:
        for done in [
            pool.submit(sign, number, token, pin, rounds, message) for number, token in enumerate(tokens)
        ]:
            done.result()


if __name__ == "__main__":
    main()
