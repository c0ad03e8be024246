"""A program on a terminal: a list that is gone through with arrows and ticked with the space bar or the mouse."""

import curses

ITEMS = ["milk", "bread", "salt"]


def main(screen: "curses.window") -> None:
    curses.mousemask(curses.BUTTON1_PRESSED)
    curses.mouseinterval(0)
    screen.timeout(100)  # curses can miss a signal of a new size while it begins to wait for a key
    curses.curs_set(0)
    at, done = 0, set[int]()
    while True:
        screen.erase()
        screen.addstr(0, 0, f"To buy: {len(ITEMS) - len(done)} of {len(ITEMS)}")
        for number, item in enumerate(ITEMS):
            screen.addstr(2 + number, 0, f"{'>' if number == at else ' '} [{'x' if number in done else ' '}] {item}")
        screen.addstr(curses.LINES - 1, 0, f"{curses.COLS} columns, q ends")
        screen.refresh()
        key = screen.getch()
        if key == ord("q"):
            return
        if key == curses.KEY_RESIZE:
            curses.update_lines_cols()
        elif key == curses.KEY_DOWN:
            at = min(at + 1, len(ITEMS) - 1)
        elif key == curses.KEY_UP:
            at = max(at - 1, 0)
        elif key == ord(" "):
            done ^= {at}
        elif key == curses.KEY_MOUSE:
            row = curses.getmouse()[2] - 2
            done ^= {row} if 0 <= row < len(ITEMS) else set()


if __name__ == "__main__":
    curses.wrapper(main)
