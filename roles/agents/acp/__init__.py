"""Agents that speak the Agent Client Protocol (https://agentclientprotocol.com) over stdio.

| file | what it does |
|---|---|
| `agent` | one run: starts the agent in its sandbox, and says how it ended |
| `session` | the conversation: handshake, session, asking mode, prompts, handoffs that are returned |
| `client` | what the agent asks of us: permissions, files, terminals; and its updates |
| `calls` | what a tool call is about, put together from all that was said of it |
| `files` | reading and writing text in the workspace without being led out of it |
| `known` | settings that known agents need, and what their figures mean |
| `modes` | which of the offered modes asks before it acts |
| `spent` | tokens and cost, as far as the agent tells them |
| `transport` | messages over the bytes of a channel, bounded |
| `transcript` | what was said and done, as lines of the run's log |
"""
