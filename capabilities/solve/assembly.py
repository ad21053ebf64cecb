"""The parts of this package, put together for one application."""

from functools import partial

from auth.page_sessions.pages import Subject
from capabilities.solve.pictures.decoders import PictureDecoders
from capabilities.solve.plan_limits import FEATURE, SOLVE_LIMITS
from capabilities.solve.portal.routes import try_pages
from capabilities.solve.price import SOLVE_PRICE, Prices
from capabilities.solve.routes import solve_routes
from capabilities.solve.settings import SECONDS_BESIDE_PROVIDER, SolveSection
from capabilities.solve.solve_picture import PictureSolver
from metering.bulkhead import Bulkhead
from metering.parts import Built, Parts
from providers.assembly import providers_of
from security.api.slots import Slots

LEASE_MARGIN_SECONDS = 30.0


def build_solve(parts: Parts, settings: SolveSection) -> Built:
    providers = parts.shared(providers_of, settings)
    model = settings.openai_default_model
    longest_call = settings.openai_timeout_s + SECONDS_BESIDE_PROVIDER + LEASE_MARGIN_SECONDS
    prices = Prices(SOLVE_LIMITS, settings.cost_per_request_cents, parts.engine)
    solver = PictureSolver(
        calls=parts.metering.calls(
            FEATURE,
            breaker=providers.of(model).breaker,
            bulkhead=Bulkhead(settings.solve_max_in_flight),
            longest_call=longest_call,
        ),
        providers=providers,
        decoders=PictureDecoders(),
        plans=SOLVE_LIMITS,
        prices=prices,
        purse=parts.purse,
        default_model=model,
        most_output_tokens=settings.solve_max_output_tokens,
        provider_seconds=settings.openai_timeout_s,
        longest_call=longest_call,
        hash_key=parts.derived_key("mirroros solve request hashes v1"),
    )
    # It reads the account for each call, as the reservation in PostgreSQL needs.
    guard = parts.auth.signed_in_or_key(FEATURE)
    slots = Slots(settings.solve_max_in_flight)
    return Built(
        routes=(solve_routes(solver, parts.auth.clock, guard=guard, slots=slots), providers.routes),
        checks=tuple(providers.checks),
        portal_pages=(Subject(FEATURE, "Try image solving", partial(try_pages, solver, parts.auth.clock, slots)),),
        app_settings=(SOLVE_PRICE,),
        prices={FEATURE: prices.now},
    )
