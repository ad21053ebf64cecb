"""The parts of this package, put together for one application."""

from dataclasses import replace

from auth.page_sessions.pages import Subject
from capabilities.chat.admit import Admission
from capabilities.chat.completions.complete import Completer, OngoingCompletions
from capabilities.chat.completions.routes import completion_routes
from capabilities.chat.conversations.jobs import retention_jobs
from capabilities.chat.conversations.routes import conversation_routes
from capabilities.chat.metrics import READERS, RECORDED_BYTES, REPLIES
from capabilities.chat.page.routes import chat_door, chat_pages
from capabilities.chat.plan_limits import CHAT_LIMITS, FEATURE
from capabilities.chat.replies.follow import Follow
from capabilities.chat.replies.reader_slots import ReaderSlots
from capabilities.chat.replies.redis_copies import RedisCopies
from capabilities.chat.replies.routes import reply_routes
from capabilities.chat.replies.running import RunningReplies
from capabilities.chat.replies.send import SendMessage
from capabilities.chat.replies.stop import StopReply
from capabilities.chat.replies.sweep import sweep_replies
from capabilities.chat.settings import ChatSection
from capabilities.chat.sockets.events import ChatSockets
from capabilities.chat.voice.assembly import build_voice
from capabilities.chat.voice.bodies import TOLD
from capabilities.chat.voice.plan_limits import VOICE_LIMITS
from capabilities.chat.voice.recordings import Recordings
from capabilities.chat.voice.work import VoiceCalls
from database.blocking import Blocking
from database.jobs.declare import Job
from metering.bulkhead import Bulkhead
from metering.open_call import ANSWERED_SECONDS
from metering.parts import Built, Parts
from providers.assembly import providers_of
from security.metrics.live import Live

VOICE_SETTLING_THREADS = 4
LEASE_MARGIN_SECONDS = 30.0
"""Beside the wait for PostgreSQL to count the reply."""


def build_chat(parts: Parts, settings: ChatSection) -> Built:
    providers = parts.shared(providers_of, settings)
    settling = max(ANSWERED_SECONDS, 2 * settings.chat_without_database_s)
    longest_call = settings.chat_reply_timeout_s + settling + LEASE_MARGIN_SECONDS
    bulkhead = Bulkhead(settings.chat_max_replies)
    calls = {
        name: parts.metering.calls(
            f"{FEATURE}_{name}", breaker=provider.breaker, bulkhead=bulkhead, longest_call=longest_call
        )
        for name, provider in providers.by_name.items()
    }
    ttl = settings.chat_stream_ttl_s
    copies = RedisCopies(parts.auth.redis, round(settings.chat_reply_timeout_s) + ttl, ttl)
    running = RunningReplies(providers.loop, copies, settings.chat_drain_s, settings.chat_without_database_s)
    follow = Follow(providers.loop, running, copies)
    admission = Admission(
        calls=calls,
        providers=providers,
        plans=CHAT_LIMITS,
        reply_seconds=settings.chat_reply_timeout_s,
        idle_seconds=settings.chat_idle_timeout_s,
        longest_call=longest_call,
        hash_key=parts.derived_key("mirroros chat request hashes v1"),
        clock=parts.auth.clock,
    )
    sending = SendMessage(parts.engine, admission, running, follow, settings.chat_default_model)
    slots = ReaderSlots(settings.chat_max_streams)
    # Staff who look through an account never see its chats.
    guard = replace(parts.auth.signed_in_or_key(FEATURE), as_oneself=True)
    ongoing = OngoingCompletions(settings.chat_drain_s)
    stopping = StopReply(running, follow)
    sockets = ChatSockets(sending, stopping)
    recordings = Recordings()
    voice_calls = VoiceCalls(
        calls=calls,
        providers=providers,
        plans=VOICE_LIMITS,
        seconds=settings.chat_idle_timeout_s,
        longest_call=longest_call,
        hash_key=parts.derived_key("mirroros voice request hashes v1"),
        settlers=Blocking("voice-settle", VOICE_SETTLING_THREADS),
    )
    voice = build_voice(voice_calls, settings, recordings, send=sockets.send, clock=parts.auth.clock)
    return Built(
        routes=(
            completion_routes(
                Completer(admission, slots, ongoing), voice_calls, settings.chat_default_model, guard=guard
            ),
            reply_routes(sending, follow, stopping, slots, guard=guard),
            conversation_routes(parts.auth, guard, admission),
            chat_door(),
            providers.routes,
        ),
        jobs=(
            Job("sweep_chat_replies", sweep_replies, cron="* * * * * */3"),
            *retention_jobs(parts.auth.clock, settings.chat_retention_days),
        ),
        checks=tuple(providers.checks),
        live=(
            Live(REPLIES, lambda: len(running)),
            Live(READERS, lambda: slots.taken),
            Live(RECORDED_BYTES, lambda: recordings.size),
        ),
        portal_pages=(Subject(FEATURE, "Chat", chat_pages),),
        drains=(running, ongoing, voice),
        sockets=sockets.events(voice.events(), TOLD),
    )
