//! Places rectangles beside each other.

use geometry::Rect;

/// The left edges of `count` equal columns in `room`.
pub fn columns(room: Rect, count: u32) -> Vec<u32> {
    (0..count).map(|at| at * room.width / count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_share_the_width() {
        let room = Rect {
            width: 90,
            height: 1,
        };
        assert_eq!(columns(room, 3), [0, 30, 60]);
    }
}
