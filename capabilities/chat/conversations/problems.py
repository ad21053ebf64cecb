"""How requests about conversations and their messages are refused."""

from security.edge.problems import Problem


class ReplyRunning(Problem):
    status, error, title = 409, "reply_running", "The reply is still being written. Wait for its end or stop it"


class ConversationFull(Problem):
    status, error, title = 409, "conversation_full", "The conversation has 5,000 messages. Start a new one"
