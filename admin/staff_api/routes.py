"""`/api/admin`: what the staff see and do, as JSON. The pages of the dashboard read by the same functions."""

from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime, time
from typing import Final
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
from metering.app_settings.app_setting import AppSettings, current_settings
from metering.app_settings.change import SettingRefused, change_setting
from payments.billing.give_credit import credit_statement
from payments.billing.read import Period, Wanted
from payments.billing.rules import PeriodRules
from payments.billing.settle_by_hand import BillingPeriodSettled, mark_paid, waive
from security.api.operation import Answer, Guard, operation
from security.api.request_bodies import Json
from security.edge.problems import NotFound, ValidationFailed, field_error
from security.logs.log import security_event

PERIOD_PROBLEMS: Final = (NotFound, BillingPeriodSettled)


def staff_routes(auth: Auth, periods: PeriodRules, settings: AppSettings) -> Blueprint:
    routes = Blueprint("admin", __name__, url_prefix="/api/admin")
    support = replace(auth.signed_in, role=Role.SUPPORT)
    admins = replace(auth.recently_signed_in, role=Role.ADMIN)
    add_lists(routes, auth, support)
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


def add_lists(routes: Blueprint, auth: Auth, support: Guard) -> None:
    @operation(
        routes,
        "GET",
        "/users",
        operation_id="listUsersAsStaff",
        summary="List accounts",
        guard=support,
        query=UsersQuery,
        answers={200: UsersAnswer},
    )
    def users(caller: Principal, query: UsersQuery) -> Answer:
        """Returns the newest first."""
        user_id = account_of(caller, query.account)
        security_event("account_read", notable=False, actor_id=caller.user_id, subject_id=user_id)
        wanted = AccountFilter(
            user_id=user_id,
            tier=query.tier,
            role=query.role,
            disabled=query.state is State.DISABLED,
            unverified=query.state is State.UNVERIFIED,
        )
        page = list_accounts(wanted, query.cursor, query.limit)
        rows = [UserRow(**{name: getattr(each.row, name) for name in UserRow.model_fields}) for each in page.items]
        return Answer(200, UsersAnswer(users=rows, next_cursor=page.next_cursor))

    @operation(
        routes,
        "GET",
        "/tokens",
        operation_id="listTokensAsStaff",
        summary="List API keys",
        guard=support,
        query=TokensQuery,
        answers={200: KeysOfAccountsAnswer},
    )
    def tokens(caller: Principal, query: TokensQuery) -> Answer:
        """Returns the newest first. The tokens themselves are not stored."""
        user_id, now = account_of(caller, query.account), auth.clock()
        security_event("api_keys_read", notable=False, actor_id=caller.user_id, subject_id=user_id)
        page = list_keys(KeyFilter(user_id, query.state, query.start), now, query.cursor, query.limit)
        own = TokenRow.model_fields.keys() - {"email", "state"}
        rows = [
            TokenRow(**{name: getattr(each.row, name) for name in own}, email=each.email, state=state_of(each.row, now))
            for each in page.items
        ]
        return Answer(200, KeysOfAccountsAnswer(tokens=rows, next_cursor=page.next_cursor))

    @operation(
        routes,
        "GET",
        "/requests",
        operation_id="listRequestsAsStaff",
        summary="List metered calls",
        guard=support,
        query=RequestsQuery,
        answers={200: RequestsAnswer},
    )
    def requests(caller: Principal, query: RequestsQuery) -> Answer:
        """Returns the newest first. A filter by feature, outcome or error code searches the 7 days up to `to`, or 366 days of one
        account.
        """
        user_id = account_of(caller, query.account)
        security_event("request_log_read", notable=False, actor_id=caller.user_id, subject_id=user_id)
        wanted = CallFilter(
            user_id=user_id,
            feature=query.feature,
            outcome=query.outcome,
            error_code=query.error_code,
            since=None if query.from_ is None else datetime.combine(query.from_, time(), UTC),
            until=None if query.to is None else datetime.combine(query.to, time.max, UTC),
        ).bounded(auth.clock())
        page = list_calls(wanted, query.cursor, query.limit)
        own = RequestRow.model_fields.keys() - {"email", "day"}
        rows = [
            RequestRow(**{name: getattr(each.row, name) for name in own}, email=each.email, day=each.row.window_date)
            for each in page.items
        ]
        return Answer(200, RequestsAnswer(requests=rows, next_cursor=page.next_cursor))

    @operation(
        routes,
        "GET",
        "/billing-periods",
        operation_id="listBillingPeriodsAsStaff",
        summary="List billing periods",
        guard=support,
        query=PeriodsQuery,
        answers={200: PeriodsAnswer},
    )
    def billing_periods(caller: Principal, query: PeriodsQuery) -> Answer:
        """Returns the statements of closed months, the newest month first."""
        user_id = account_of(caller, query.account)
        security_event("billing_periods_read", notable=False, actor_id=caller.user_id, subject_id=user_id)
        page = list_statements(Wanted(user_id, query.state, query.period), query.cursor, query.limit)
        rows = [period_row(each.row, each.email) for each in page.items]
        return Answer(200, PeriodsAnswer(billing_periods=rows, next_cursor=page.next_cursor))


def add_acts(routes: Blueprint, rules: PeriodRules, admins: Guard) -> None:
    def add(path: str, operation_id: str, summary: str, description: str, command: Callable[..., bool]) -> None:
        def settle(caller: Principal, period_id: UUID, body: ReasonBody | None) -> Answer:
            command(rules, period_id, by=caller.user_id, reason=None if body is None else body.reason)
            found = read_statement(period_id)
            return Answer(200, period_row(found.period, found.email))

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


def period_row(period: Period, email: str | None) -> PeriodRow:
    own = {name: value for name, value in asdict(period).items() if name != "charges_micros"}
    return PeriodRow(**own, email=email)
