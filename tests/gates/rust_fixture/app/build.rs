fn main() {
    let folder = std::env::var("OUT_DIR").unwrap();
    std::fs::write(format!("{folder}/greeting.txt"), "columns").unwrap();
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-env=APP_BUILT_BY=build.rs");
}
