"""An agent made with the agent's side of the official SDK: writes a file through its client, and hands in."""

from __future__ import annotations

import asyncio
import sys

sys.path.append(sys.argv[1])

from pathlib import Path
from typing import Any

from acp import PROTOCOL_VERSION, run_agent, text_block, update_agent_message
from acp.schema import InitializeResponse, NewSessionResponse, PermissionOption, PromptResponse, ToolCallUpdate, Usage


class SdkAgent:
    """Just what the protocol wants of an agent at least."""

    def on_connect(self, conn: Any) -> None:
        self._client = conn

    async def initialize(self, protocol_version: int, **_more: Any) -> InitializeResponse:
        return InitializeResponse(protocol_version=PROTOCOL_VERSION)

    async def new_session(self, cwd: str, mcp_servers: Any = None, **_more: Any) -> NewSessionResponse:
        self._cwd, self._server = cwd, mcp_servers[0]
        return NewSessionResponse(session_id="sdk")

    async def prompt(self, session_id: str, **_more: Any) -> PromptResponse:
        await self._client.session_update(session_id, update_agent_message(text_block("Working.\n")))
        path = str(Path(self._cwd, "sdk.txt"))
        call = ToolCallUpdate(tool_call_id="1", kind="edit", title="Write", raw_input={"path": path})
        options = [PermissionOption(option_id="go", name="Go", kind="allow_once")]
        answer = await self._client.request_permission(session_id=session_id, tool_call=call, options=options)
        if answer.outcome.outcome == "selected":
            await self._client.write_text_file(session_id=session_id, path=path, content="written by the client")
        handoff = Path(self._server.args[3])
        handoff.write_text('{"summary": "by the SDK"}', encoding="utf-8")
        usage = Usage(total_tokens=120, input_tokens=100, output_tokens=20)
        return PromptResponse(stop_reason="end_turn", usage=usage)

    async def cancel(self, session_id: str, **_more: Any) -> None:
        pass


asyncio.run(run_agent(SdkAgent()))  # type: ignore[arg-type]
