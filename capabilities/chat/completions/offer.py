"""What there is to chat with, and what is left of the day."""

from datetime import UTC, date, datetime

from auth.principal import Caller
from auth.tiers import Tier
from metering.limits import Ask, Standing
from providers.assembly import Providers
from providers.bodies import ProviderStatus
from providers.catalogue import Model
from security.api.models import AnswerBody


class ModelPrice(AnswerBody):
    """What the provider takes, in millionths of a US dollar for a million tokens. You pay with the tokens of your plan."""

    input_micros: int
    cached_input_micros: int
    output_micros: int


class ModelAnswer(AnswerBody):
    id: str
    provider: str
    aliases: list[str]
    """Names that stand for this model and others, of which the first that can be used replies."""
    context: int | None
    """Tokens of prompt and reply together. Null if it is not known."""
    longest_reply: int | None
    """In tokens, with what the model thinks. Null if it is not known."""
    vision: bool
    """It reads pictures."""
    price: ModelPrice | None
    lowest_tier: Tier
    """The plan from which on it may be used."""
    allowed: bool
    """Your plan includes it."""
    status: ProviderStatus
    """How its provider is, as this process knows."""


class ModelsAnswer(AnswerBody):
    default_model: str
    """What replies when you name none."""
    models: list[ModelAnswer]


class OpenAIModel(ModelAnswer):
    """The first four members are OpenAI's."""

    object: str = "model"
    created: int = 0
    """When a model was made is not known here."""
    owned_by: str


class OpenAIModels(AnswerBody):
    object: str = "list"
    data: list[OpenAIModel]


class Used(AnswerBody):
    """Null means unlimited. `left` is without what is held for replies in progress."""

    limit: int | None
    used: int
    held: int
    left: int | None


class ChatUsageAnswer(AnswerBody):
    tier: Tier
    date: date
    resets_at: datetime
    messages: Used
    tokens: Used
    voice_seconds: Used
    """Of recordings. A limit of 0 means that your plan has no voice."""


def offered(providers: Providers, tier: Tier, today: date) -> list[ModelAnswer]:
    """Of the providers that are set up, in the catalogue's order."""
    return [
        _described(model, providers, tier)
        for name in providers.by_name
        for model in providers.catalogue.of(name, today)
    ]


def as_openai_says(model: ModelAnswer) -> OpenAIModel:
    return OpenAIModel(**model.model_dump(), owned_by=model.provider)


def used_today(caller: Caller, ask: Ask, standing: Standing, *, voice: tuple[Ask, Standing]) -> ChatUsageAnswer:
    messages, tokens = _used(ask, standing)
    _, voice_seconds = _used(*voice)
    today = ask.draws[0].window
    return ChatUsageAnswer(
        tier=caller.tier,
        date=today.first_day,
        resets_at=datetime.fromtimestamp(today.ends, UTC),
        messages=messages,
        tokens=tokens,
        voice_seconds=voice_seconds,
    )


def _used(ask: Ask, standing: Standing) -> list[Used]:
    """By draw."""
    return [
        Used(limit=draw.allowed, used=used, held=held, left=_left(draw.allowed, used + held))
        for draw, used, held in zip(ask.draws, standing.used, standing.held, strict=True)
    ]


def _left(allowed: int | None, taken: int) -> int | None:
    return None if allowed is None else max(0, allowed - taken)


def _described(model: Model, providers: Providers, tier: Tier) -> ModelAnswer:
    price = None
    if model.input_micros is not None and model.output_micros is not None:
        cached = model.input_micros if model.cached_input_micros is None else model.cached_input_micros
        price = ModelPrice(
            input_micros=model.input_micros, cached_input_micros=cached, output_micros=model.output_micros
        )
    return ModelAnswer(
        id=model.id,
        provider=model.provider,
        aliases=[name for name, models in providers.catalogue.aliases.items() if model in models],
        context=model.context,
        longest_reply=model.longest_reply,
        vision=model.pictures,
        price=price,
        lowest_tier=model.lowest_tier,
        allowed=tier.includes(model.lowest_tier),
        status=providers.of(model).health.known().status,
    )
