"""`/api/auth/export`: all that is held about the caller."""

from uuid import UUID

from flask import Blueprint

from auth.assembly import Auth
from auth.exports.bodies import ExportAnswer, ExportDocument, ExportsAnswer
from auth.exports.export import ExportNotReady, download_export, list_exports, request_export
from auth.principal import Principal
from security.api.cursor import ListQuery
from security.api.operation import Answer, operation
from security.edge.problems import TooManyRequests


def export_routes(auth: Auth) -> Blueprint:
    routes = Blueprint("exports", __name__, url_prefix="/api/auth/export")

    @operation(
        routes,
        "POST",
        "",
        operation_id="startExport",
        summary="Request an export of your data",
        guard=auth.recently_signed_in,
        answers={202: ExportAnswer},
        problems=(TooManyRequests,),
    )
    def begin(caller: Principal) -> Answer:
        """You can request one export a day. We send you an e-mail when it is ready."""
        return Answer(202, request_export(auth, caller.user_id, caller.session_id))

    @operation(
        routes,
        "GET",
        "",
        operation_id="listExports",
        summary="List your exports",
        guard=auth.signed_in,
        query=ListQuery,
        answers={200: ExportsAnswer},
    )
    def list_own(caller: Principal, query: ListQuery) -> Answer:
        """Returns the newest first, with their status and when we delete them."""
        page = list_exports(caller.user_id, auth.clock(), query)
        return Answer(200, ExportsAnswer(exports=list(page.items), next_cursor=page.next_cursor))

    @operation(
        routes,
        "GET",
        "/<uuid:export_id>",
        operation_id="downloadExport",
        summary="Download an export",
        guard=auth.recently_signed_in,
        answers={200: ExportDocument},
        problems=(ExportNotReady,),
        answer_headers={"Content-Disposition": "The file name."},
    )
    def download(caller: Principal, export_id: UUID) -> Answer:
        """Returns all your data as one JSON document, or 409 `export_not_ready` until it is ready."""
        content = download_export(auth, caller.user_id, caller.session_id, export_id)
        return Answer(200, content, {"Content-Disposition": 'attachment; filename="mirroros-export.json"'})

    return routes
