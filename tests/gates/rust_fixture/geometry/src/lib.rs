//! Rectangles.

/// A rectangle by its sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rect {
    pub width: u32,
    pub height: u32,
}

impl Rect {
    /// Its area.
    ///
    /// ```
    /// assert_eq!(geometry::Rect { width: 2, height: 3 }.area(), 6);
    /// ```
    pub fn area(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// What is left of it without a border of `by` on every side.
    pub fn inset(self, by: u32) -> Rect {
        Rect {
            width: self.width.saturating_sub(2 * by),
            height: self.height.saturating_sub(2 * by),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TALL: Rect = Rect {
        width: 2,
        height: 30,
    };

    #[test]
    fn area_is_width_times_height() {
        assert_eq!(TALL.area(), 60);
    }

    #[test]
    fn a_large_border_leaves_nothing() {
        assert_eq!(TALL.inset(20).area(), 0);
    }

    #[test]
    #[ignore = "slow on purpose"]
    fn every_inset_is_smaller() {
        assert!((1..1000).all(|by| TALL.inset(by).area() < TALL.area()));
    }

    #[test]
    #[should_panic(expected = "overflow")]
    fn a_border_beyond_all_bounds_panics() {
        let by = std::hint::black_box(u32::MAX);
        let _ = by.checked_mul(2).expect("overflow");
    }
}
