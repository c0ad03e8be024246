"""tinykit: a browser engine's view host, layout and compositor in miniature, painted to a grid of characters."""
