"""Solve a picture: what is special about it among metered calls (metering.metered_calls owns their order)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final

import orjson

from auth.principal import Caller
from auth.tiers import Tier
from capabilities.solve.bodies import (
    AnswerFormat,
    PictureAnswer,
    Remaining,
    SentToProvider,
    SolveAnswer,
    TokensUsed,
)
from capabilities.solve.metrics import COST_MICROS, OUTCOMES, PRICE_MICROS, PROVIDER_SECONDS
from capabilities.solve.pictures.decoders import PictureDecoders
from capabilities.solve.pictures.prepare_types import Prepared
from capabilities.solve.pictures.problems import PictureTooLarge
from capabilities.solve.pictures.read_header import Header, read_header
from capabilities.solve.plan_limits import FEATURE, SolveLimits
from capabilities.solve.price import Prices
from capabilities.solve.sent_picture import SentPicture
from capabilities.solve.steps import ASK_FOR_STEPS, Solution, solution_in_steps
from metering.limits import CALL, Burst, Draw
from metering.metered_calls import Allowance, Delivered, MeteredCalls, Running, Tally, Work
from metering.money import MICROS_PER_CENT, Purse
from metering.rate_limit_headers import DAY
from metering.usage.budget import BUDGET
from metering.windows import day_of
from providers.catalogue import Model, find_model
from providers.completion import Completion, Message, Picture, Provider, Role
from providers.problems import ProviderFailed
from security.edge.problems import ValidationFailed, field_error
from security.secrets.hmac_sha256 import hmac_sha256
