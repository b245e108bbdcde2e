"""List prices: `prices.toml`, as one typed model."""

import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

HERE = Path(__file__).parent


class Price(BaseModel):
    """USD for `per` units in a region; the page that states it, and the year of the list."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    unit: str
    usd: float
    per: int
    region: str
    source: str
    date: str

    def of(self, count: float) -> float:
        """USD for so many units."""
        return count * self.usd / self.per

    def __str__(self) -> str:
        digits = f"{self.usd:.10f}".rstrip("0")
        whole, _, cents = digits.partition(".")
        return f"${whole}.{cents:0<2}{'/M' if self.per == 1_000_000 else ''} {self.unit}"


class Prices(BaseModel):
    """All prices, by what is paid for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    write: Price
    read: Price
    storage: Price
    recovery: Price
    lambda_request: Price
    lambda_time: Price
    snapshot_cache: Price
    snapshot_restore: Price
    pipe: Price
    event: Price
    publish: Price
    queue: Price
    appsync: Price
    alarm: Price
    metric: Price
    logs: Price
    cpu: Price
    memory: Price
    endpoint: Price
    endpoint_data: Price
    gateway: Price
    gateway_data: Price
    address: Price
    key: Price
    get: Price
    put: Price
    dashboard: Price


DEFAULT_REGION = "us-east-1"


def prices(region: str) -> Prices:
    """The prices of a region where they are known, else those of us-east-1: each says of which it is."""
    listed: dict[str, dict[str, Any]] = tomllib.loads((HERE / "prices.toml").read_text())
    return Prices.model_validate({key: _in(region, **entry) for key, entry in listed.items()})


def _in(region: str, *, regions: dict[str, float] | None = None, **entry: Any) -> dict[str, Any]:
    known = regions or {}
    own = {"usd": known[region], "region": region} if region in known else {"region": DEFAULT_REGION}
    return {**entry, **own}
