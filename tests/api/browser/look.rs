//! How a page is looked at, and pictures of it in `target/screenshots/`.

use std::path::PathBuf;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use super::chromium::Chromium;

/// A screen.
#[derive(Clone, Copy)]
pub struct Look {
    pub name: &'static str,
    pub width: u32,
    height: u32,
    scheme: &'static str,
}

pub const LIGHT: Look = Look { name: "light", width: 1200, height: 800, scheme: "light" };
pub const DARK: Look = Look { name: "dark", width: 1200, height: 800, scheme: "dark" };
pub const PHONE: Look = Look { name: "phone", width: 360, height: 740, scheme: "light" };

impl Chromium {
    pub async fn look(&self, look: Look) {
        let features = json!([
            { "name": "prefers-color-scheme", "value": look.scheme },
            // No picture of something halfway.
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": features })).await;
        let screen =
            json!({ "width": look.width, "height": look.height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", screen).await;
    }

    /// Of what is on the screen, or of the whole page.
    pub async fn screenshot(&self, name: &str, whole: bool) {
        let picture = self
            .devtools("Page.captureScreenshot", json!({ "format": "png", "captureBeyondViewport": whole }))
            .await;
        let picture = BASE64_STANDARD.decode(picture["data"].as_str().expect("a picture")).expect("base64");
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("screenshots");
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join(format!("{name}.png")), picture).expect("a file");
    }
}
