"""Uses the generated client, which parses each answer into classes of its own, and says what it saw."""

import json
import os
from datetime import datetime
from uuid import UUID

from generated import AuthenticatedClient
from generated.api.checkout_sessions import create_session, get_session, list_sessions
from generated.api.events import get_event
from generated.models.create_session_body import CreateSessionBody
from generated.models.create_session_body_metadata import CreateSessionBodyMetadata
from generated.models.problem import Problem

METADATA = {"order": "python"}

client = AuthenticatedClient(base_url=os.environ["API_URL"], token=os.environ["API_KEY"])
created = create_session.sync(
    client=client,
    idempotency_key="python",
    body=CreateSessionBody(
        amount="12.50",
        asset="native",
        expires_at=datetime.fromisoformat(os.environ["EXPIRES"]),
        metadata=CreateSessionBodyMetadata.from_dict(METADATA),
    ),
)
read = get_session.sync(created.id, client=client)
listed = list_sessions.sync(client=client, created_after=datetime.fromisoformat(os.environ["AFTER"]))
event = get_event.sync(UUID(os.environ["EVENT"]), client=client)
missing = get_session.sync(UUID(os.environ["MISSING"]), client=client)
assert isinstance(missing, Problem)

print(
    json.dumps(
        {
            "created": str(created.id),
            "expires_at": read.expires_at.isoformat(),
            "status": read.status.value,
            "order": read.metadata["order"],
            "listed": [str(session.id) for session in listed.data],
            "event": event.type_.value,
            "refused": missing.type_,
        }
    )
)
