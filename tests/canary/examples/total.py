"""A command-line program: adds up the numbers that it is given."""

import sys


def main(words: list[str]) -> int:
    try:
        print(f"total {sum(float(word) for word in words):g}")
    except ValueError as error:
        print(f"total: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
