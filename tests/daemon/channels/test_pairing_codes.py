"""Pairing codes at rest."""

from __future__ import annotations

import hashlib

from daemon.channels.pairing_codes import code_hash


async def test_what_is_kept_of_a_code_is_slow_to_guess() -> None:
    """PBKDF2 with 200,000 rounds and the persona as salt: a stolen ledger reveals no code while it is valid."""
    expected = hashlib.pbkdf2_hmac("sha256", b"ABC234", b"eve", 200_000).hex()
    assert await code_hash("eve", "ABC234") == expected
    assert await code_hash("eve", " abc234\n") == expected
    assert await code_hash("adam", "ABC234") != expected
