"""`swarm gates`: the local CI on one commit, again and again with --watch, or on broken versions of it with --sabotage.

The command is in `command`. `standing` answers without it while nothing has changed since the last green answer.
"""
