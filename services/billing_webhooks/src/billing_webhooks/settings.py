"""Everything this service needs to know before it starts."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from pulse_common.settings import SHORTEST_SECRET, ServiceSettings

LIVE_KEYS = ("sk_live_", "rk_live_")
TEST_KEYS = ("sk_test_", "rk_test_")


class Settings(ServiceSettings):
    """Without ``stripe_api_key`` there is no billing: every tenant has ``billing_default_plan``.

    ``stripe_webhook_secrets`` is a comma-separated list: several are valid at once during a rotation.
    ``stripe_prices`` says what a price buys: ``price_a=starter,price_b=business``.
    """

    stripe_api_key: SecretStr | None = None
    stripe_webhook_secrets: Annotated[SecretStr, "comma separated"] = SecretStr("")
    stripe_api_base: str = Field(default="https://api.stripe.com", pattern=r"^https?://[^/]+$")
    stripe_timeout_seconds: float = Field(default=8.0, gt=0, le=30)
    stripe_prices: str = ""
    stripe_test_clocks: bool = False
    stripe_meter_messages: str = "pulse_messages"
    stripe_meter_device_months: str = "pulse_device_months"
    billing_default_plan: str = ""
    billing_grace_days: int = Field(default=7, ge=0, le=90)
    billing_read_only_days: int = Field(default=14, ge=0, le=180)
    billing_sweep_seconds: float = Field(default=3.0, gt=0)
    billing_usage_seconds: float = Field(default=300.0, gt=0)
    billing_reconcile_seconds: float = Field(default=3600.0, gt=0)
    public_url: str = Field(default="https://localhost", pattern=r"^https?://[^/]+$")

    @field_validator("stripe_webhook_secrets")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        if any(len(secret) < SHORTEST_SECRET for secret in _split(value.get_secret_value())):
            raise ValueError(f"each secret must have at least {SHORTEST_SECRET} characters")
        return value

    @field_validator("stripe_api_key")
    @classmethod
    def _of_a_mode(cls, value: SecretStr | None) -> SecretStr | None:
        if value and not value.get_secret_value().startswith(LIVE_KEYS + TEST_KEYS):
            raise ValueError("must begin with sk_live_, rk_live_, sk_test_ or rk_test_")
        return value

    @field_validator("stripe_prices")
    @classmethod
    def _pairs(cls, value: str) -> str:
        for pair in _split(value):
            price, _, plan = pair.partition("=")
            if not price or not plan:
                raise ValueError("must read price=plan,price=plan")
        return value

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.stripe_api_key and not self.signing_secrets():
            raise ValueError("STRIPE_WEBHOOK_SECRETS is required with STRIPE_API_KEY")
        if self.stripe_test_clocks and self.livemode:
            raise ValueError("STRIPE_TEST_CLOCKS has no place beside a live key")
        if self.billing_read_only_days < self.billing_grace_days:
            raise ValueError("BILLING_READ_ONLY_DAYS must not end before BILLING_GRACE_DAYS")
        return self

    @property
    def livemode(self) -> bool:
        """Whether real money moves: the key says so."""
        return bool(
            self.stripe_api_key and self.stripe_api_key.get_secret_value().startswith(LIVE_KEYS)
        )

    @property
    def default_plan(self) -> str:
        """What a tenant has that pays nothing."""
        return self.billing_default_plan or ("free" if self.stripe_api_key else "unlimited")

    def signing_secrets(self) -> list[str]:
        return _split(self.stripe_webhook_secrets.get_secret_value())

    def prices(self) -> dict[str, str]:
        """Plans by the price that buys them."""
        pairs = (pair.partition("=") for pair in _split(self.stripe_prices))
        return {price.strip(): plan.strip() for price, _, plan in pairs}


def _split(value: str) -> list[str]:
    return [part.strip() for part in value.split(",")] if value.strip() else []
