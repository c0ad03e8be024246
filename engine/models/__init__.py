"""The words of the product as data: what crosses a border, and nothing that does I/O."""
