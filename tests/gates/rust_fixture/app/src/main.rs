use geometry::Rect;

const GREETING: &str = include_str!(concat!(env!("OUT_DIR"), "/greeting.txt"));

fn line(width: u32) -> String {
    let room = Rect { width, height: 1 };
    format!("{GREETING}: {:?}", layout::columns(room, 2))
}

fn main() {
    println!("{}", line(80));
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_line_lists_the_columns() {
        assert_eq!(super::line(80), "columns: [0, 40]");
    }

    #[test]
    fn what_the_build_script_said_is_known_when_tests_run() {
        assert_eq!(std::env::var("APP_BUILT_BY").unwrap(), "build.rs");
        assert!(std::path::Path::new(&std::env::var("OUT_DIR").unwrap())
            .join("greeting.txt")
            .exists());
    }
}
