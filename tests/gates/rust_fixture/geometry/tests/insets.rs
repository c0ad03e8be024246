use geometry::Rect;

#[test]
fn runs_in_the_folder_of_its_package() {
    let here = std::env::current_dir().unwrap();
    assert_eq!(here, std::path::Path::new(env!("CARGO_MANIFEST_DIR")));
    assert_eq!(
        std::env::var("CARGO_MANIFEST_DIR").unwrap(),
        env!("CARGO_MANIFEST_DIR")
    );
    assert_eq!(std::env::var("CARGO_PKG_NAME").unwrap(), "geometry");
}

#[test]
fn an_inset_keeps_the_rest() {
    let rect = Rect {
        width: 10,
        height: 8,
    };
    assert_eq!(
        rect.inset(1),
        Rect {
            width: 8,
            height: 6
        }
    );
}
