"""Amounts of tokens and of money in whole numbers: money is counted in nano-units of its currency, never as a float."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final, NamedTuple

from proto.records import LIMIT

NANO: Final = 10**9

UNLIMITED: Final = "unlimited"

_CODES: Final = """
AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF
CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD
HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD
MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN
PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY
TTD TWD TZS UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG"""

CURRENCIES: Final = frozenset(_CODES.split())
"""The codes of currencies in use (ISO 4217, https://www.iso.org/iso-4217-currency-codes.html)."""


class Amount(NamedTuple):
    """Tokens, or nano-units of ``currency``."""

    most: int
    currency: str = ""


def amount(text: str) -> Amount | None:
    """Read a limit that has the right form; None: there is none."""
    if text in ("", UNLIMITED):
        return None
    number, _, unit = text.partition(" ")
    return Amount(int(number)) if unit == "tokens" else Amount(int(Decimal(number) * NANO), unit)


def check_limit(text: str) -> str:
    """Return "" for a limit that can be used, else what it must be."""
    if not re.match(LIMIT, text):
        return 'must be tokens or money, such as "200000 tokens", "2.50 USD" or "unlimited"'
    found = amount(text)
    return check_currency(found.currency) if found and found.currency else ""


def check_currency(text: str) -> str:
    """Return "" for the code of a currency, else what it must be."""
    return "" if text in CURRENCIES else "must have a currency's code of three capital letters, such as USD or EUR"


def nano(price: float) -> int:
    """Return a price in nano-units, exactly as it was written."""
    return int(Decimal(repr(price)) * NANO)


def decimal(amount: int) -> str:
    """Write nano-units as an exact decimal number."""
    whole, rest = divmod(amount, NANO)
    return f"{whole}.{rest:09d}".rstrip("0").rstrip(".")


def shown(most: int, currency: str, *, up: bool = True) -> str:
    """Write an amount as people read it: money to a ten-thousandth, rounded ``up`` or down."""
    if not currency:
        return f"{most:,} tokens"
    part = NANO // 10_000
    whole, rest = divmod(-(-most // part) if up else most // part, 10_000)
    digits = f"{rest:04d}"
    return f"{whole:,}.{digits if digits[2:] != '00' else digits[:2]} {currency}"
