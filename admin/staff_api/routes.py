"""`/api/admin`: what the staff see and do, as JSON. The pages of the dashboard read by the same functions."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, time
from typing import Final, TypeVar
from uuid import UUID

from flask import Blueprint

from admin.accounts.bodies import State
from admin.accounts.find import AccountFilter, list_accounts
from admin.api_keys.read import KeyFilter, list_keys
from admin.app_settings.routes import any_of
from admin.billing_periods.read import list_statements, read_statement
from admin.list_filter import whose
from admin.request_log.read import CallFilter, list_calls
from admin.staff_api.bodies import (
    CreditAnswer,
    CreditBody,
    KeysOfAccountsAnswer,
    OfAccount,
    PeriodRow,
    PeriodsAnswer,
    PeriodsQuery,
    ReasonBody,
    RequestRow,
    RequestsAnswer,
    RequestsQuery,
    SettingBody,
    SettingRow,
    SettingsAnswer,
    TokenRow,
    TokensQuery,
    UserRow,
    UsersAnswer,
    UsersQuery,
)
from auth.api_keys.bodies import state_of
from auth.assembly import Auth
from auth.principal import Principal, Role
from database import reading, transaction
from database.base import Clock
from metering.app_settings.app_setting import AppSettings, current_settings
from metering.app_settings.change import SettingRefused, change_setting
from payments.billing.give_credit import credit_statement
from payments.billing.read import Wanted
from payments.billing.rules import PeriodRules
from payments.billing.settle_by_hand import BillingPeriodSettled, mark_paid, waive
from security.api.cursor import ListAnswer
from security.api.models import AnswerBody
from security.api.operation import Answer, Guard, operation
from security.api.request_bodies import Json
from security.edge.problems import NotFound, ValidationFailed, field_error
from security.logs.log import security_event

PERIOD_PROBLEMS: Final = (NotFound, BillingPeriodSettled)
Query = TypeVar("Query", bound=OfAccount)
Row = TypeVar("Row", bound=AnswerBody)
Rows = tuple[Sequence[AnswerBody], UUID | None]
"""With the cursor of the next page."""


def staff_routes(auth: Auth, periods: PeriodRules, settings: AppSettings) -> Blueprint:
    routes = Blueprint("admin", __name__, url_prefix="/api/admin")
    support = replace(auth.signed_in, role=Role.SUPPORT)
    admins = replace(auth.recently_signed_in, role=Role.ADMIN)
    add_lists(routes, auth.clock, support)
    add_acts(routes, periods, admins)
    add_settings(routes, auth, settings, support, admins)
    return routes


def account_of(caller: Principal, named: str | None) -> UUID | None:
    """None for all accounts. Raises ValidationFailed where the caller must name one, or no account is called so."""
    account = whose(caller, named)
    if account.hint is not None:
        code = "missing" if named is None else "unknown_account"
        raise ValidationFailed([field_error(["account"], code, account.hint.removesuffix("."))])
    return account.user_id


def add_lists(routes: Blueprint, clock: Clock, support: Guard) -> None:
    def lists(
        path: str, operation_id: str, summary: str, *, event: str, query: type[Query], answer: type[ListAnswer]
    ) -> Callable[[Callable[[UUID | None, Query, datetime], Rows]], None]:
        """Of a function that reads a page of rows, of one account or of all. `event`: what is noted of who read it. The answer has
        the rows under the path's noun.
        """

        def declare(rows_of: Callable[[UUID | None, Query, datetime], Rows]) -> None:
            def listed(caller: Principal, query: Query) -> Answer:
                user_id = account_of(caller, query.account)
                security_event(event, notable=False, actor_id=caller.user_id, subject_id=user_id)
                rows, next_cursor = rows_of(user_id, query, clock())
                return Answer(200, answer(**{path.replace("-", "_"): rows}, next_cursor=next_cursor))

            listed.__doc__ = rows_of.__doc__
            operation(
                routes,
                "GET",
                f"/{path}",
                operation_id=operation_id,
                summary=summary,
                guard=support,
                query=query,
                answers={200: answer},
            )(listed)

        return declare

    @lists("users", "listUsersAsStaff", "List accounts", event="account_read", query=UsersQuery, answer=UsersAnswer)
    def users(user_id: UUID | None, query: UsersQuery, now: datetime) -> Rows:
        """Returns the newest first."""
        wanted = AccountFilter(
            user_id=user_id,
            tier=query.tier,
            role=query.role,
            disabled=query.state is State.DISABLED,
            unverified=query.state is State.UNVERIFIED,
        )
        page = list_accounts(wanted, query.cursor, query.limit)
        return [row_of(UserRow, each.row) for each in page.items], page.next_cursor

    @lists(
        "tokens",
        "listTokensAsStaff",
        "List API keys",
        event="api_keys_read",
        query=TokensQuery,
        answer=KeysOfAccountsAnswer,
    )
    def tokens(user_id: UUID | None, query: TokensQuery, now: datetime) -> Rows:
        """Returns the newest first. The tokens themselves are not stored."""
        page = list_keys(KeyFilter(user_id, query.state, query.start), now, query.cursor, query.limit)
        rows = [row_of(TokenRow, each.row, email=each.email, state=state_of(each.row, now)) for each in page.items]
        return rows, page.next_cursor

    @lists(
        "requests",
        "listRequestsAsStaff",
        "List metered calls",
        event="request_log_read",
        query=RequestsQuery,
        answer=RequestsAnswer,
    )
    def requests(user_id: UUID | None, query: RequestsQuery, now: datetime) -> Rows:
        """Returns the newest first. A filter by feature, outcome or error code searches the 7 days up to `to`, or 366 days of one
        account.
        """
        wanted = CallFilter(
            user_id=user_id,
            feature=query.feature,
            outcome=query.outcome,
            error_code=query.error_code,
            since=None if query.from_ is None else datetime.combine(query.from_, time(), UTC),
            until=None if query.to is None else datetime.combine(query.to, time.max, UTC),
        ).bounded(now)
        page = list_calls(wanted, query.cursor, query.limit)
        rows = [row_of(RequestRow, each.row, email=each.email, day=each.row.window_date) for each in page.items]
        return rows, page.next_cursor

    @lists(
        "billing-periods",
        "listBillingPeriodsAsStaff",
        "List billing periods",
        event="billing_periods_read",
        query=PeriodsQuery,
        answer=PeriodsAnswer,
    )
    def billing_periods(user_id: UUID | None, query: PeriodsQuery, now: datetime) -> Rows:
        """Returns the statements of closed months, the newest month first."""
        page = list_statements(Wanted(user_id, query.state, query.period), query.cursor, query.limit)
        return [row_of(PeriodRow, each.row, email=each.email) for each in page.items], page.next_cursor


def row_of(answered: type[Row], row: object, **further: object) -> Row:
    """The row's values of the same names, with what it does not know itself."""
    own = {name: getattr(row, name) for name in answered.model_fields.keys() - further.keys()}
    return answered(**own, **further)


def add_acts(routes: Blueprint, rules: PeriodRules, admins: Guard) -> None:
    def add(path: str, operation_id: str, summary: str, description: str, command: Callable[..., bool]) -> None:
        def settle(caller: Principal, period_id: UUID, body: ReasonBody | None) -> Answer:
            command(rules, period_id, by=caller.user_id, reason=None if body is None else body.reason)
            found = read_statement(period_id)
            return Answer(200, row_of(PeriodRow, found.period, email=found.email))

        settle.__doc__ = f"{description} You can repeat the request. Only admins can do this."
        operation(
            routes,
            "POST",
            f"/billing-periods/<uuid:period_id>/{path}",
            operation_id=operation_id,
            summary=summary,
            guard=admins,
            body=Json(ReasonBody, optional=True),
            answers={200: PeriodRow},
            problems=PERIOD_PROBLEMS,
        )(settle)

    add(
        "mark-paid",
        "markBillingPeriodPaid",
        "Mark a billing period as paid",
        "For a statement that was paid in another way, such as by bank transfer.",
        mark_paid,
    )
    add("waive", "waiveBillingPeriod", "Waive a billing period", "The amount is not asked for any more.", waive)

    @operation(
        routes,
        "POST",
        "/billing-periods/<uuid:period_id>/credit",
        operation_id="creditBillingPeriod",
        summary="Give a credit",
        guard=admins,
        body=CreditBody,
        answers={200: CreditAnswer},
        problems=(NotFound,),
    )
    def credit(caller: Principal, period_id: UUID, body: CreditBody) -> Answer:
        """A statement is never changed: the credit comes off the next one. The same amount for the same reason is given once, until
        it stands in a statement, so you can repeat the request. Only admins can do this.
        """
        given = credit_statement(rules, period_id, body.cents, body.reason, by=caller.user_id)
        return Answer(200, CreditAnswer(id=given.id, user_id=given.user_id, cents=body.cents, reason=body.reason))


def add_settings(routes: Blueprint, auth: Auth, settings: AppSettings, support: Guard, admins: Guard) -> None:
    @operation(
        routes,
        "GET",
        "/settings",
        operation_id="listAppSettings",
        summary="List the settings",
        guard=support,
        answers={200: SettingsAnswer},
    )
    def show(caller: Principal) -> Answer:
        """Returns what staff can change while the service runs, such as prices."""
        return Answer(200, SettingsAnswer(settings=setting_rows(settings)))

    by_name = {each.name: each for each in settings}
    if not by_name:
        return

    @operation(
        routes,
        "PUT",
        f"/settings/{any_of(by_name)}",
        operation_id="changeAppSetting",
        summary="Change a setting",
        guard=admins,
        body=SettingBody,
        answers={200: SettingRow},
        problems=(SettingRefused,),
    )
    def change(caller: Principal, name: str, body: SettingBody) -> Answer:
        """Applies at once. Only admins can do this."""
        setting = by_name[name]
        with transaction() as session:
            change_setting(session, setting, body.value, auth.clock(), by=caller.user_id, reason=body.reason)
        return Answer(200, setting_rows((setting,))[0])


def setting_rows(settings: AppSettings) -> list[SettingRow]:
    with reading() as session:
        return [
            SettingRow(
                name=each.setting.name,
                title=each.setting.title,
                value=None if each.stored is None else each.stored.value,
                updated_by=None if each.stored is None else each.stored.updated_by,
                updated_at=None if each.stored is None else each.stored.updated_at,
            )
            for each in current_settings(session, settings)
        ]
