"""Who does the work: roles, their prompts, and the agents that think for them."""
