//! Exports of other services, changed at random: a real command reads them, and neither panics nor imports half a record.

use std::process::Command;

use crate::inputs;
use crate::mutation::Mutator;

const SEEDS: [(&str, &[u8]); 4] = [
    ("supabase", b"id,email,email_confirmed_at,raw_app_meta_data,raw_user_meta_data,created_at\n1,a@b.example,2026-01-01,\"{}\",\"{\"\"name\"\":\"\"A\"\"}\",2026-01-01\n"),
    ("supabase", b"COPY auth.users (id, email, encrypted_password) FROM stdin;\n1\ta@b.example\t$2a$10$abcdefghijklmnopqrstuv\n\\.\n"),
    ("firebase", br#"{"users":[{"localId":"1","email":"a@b.example","emailVerified":true,"providerUserInfo":[{"providerId":"google.com","rawId":"7"}],"createdAt":"1700000000000"}]}"#),
    ("pocketbase", br#"[{"id":"abcdefghijklmno","email":"a@b.example","verified":true,"created":"2026-01-01 00:00:00.000Z"}]"#),
];

#[test]
fn no_export_is_too_odd() {
    let folder = tempfile::tempdir().expect("a folder");
    for (number, (from, seed)) in SEEDS.iter().enumerate() {
        let mut mutator = Mutator::new(&format!("{from} {number}"), &[seed]);
        for _ in 0..inputs("import") / 25 {
            let input = mutator.next();
            let file = folder.path().join("export");
            std::fs::write(&file, &input).expect("a file");
            let output = Command::new(env!("CARGO_BIN_EXE_tokenbooth"))
                .args(["import", "--dry-run", "--from", from])
                .arg(&file)
                .current_dir(folder.path())
                .env_clear()
                .env("TOKENBOOTH__DATABASE__URL", format!("sqlite://{}/import.db", folder.path().display()))
                .output()
                .expect("the command runs");
            let told = String::from_utf8_lossy(&output.stderr);
            let shown = input.escape_ascii();
            assert!(
                matches!(output.status.code(), Some(0 | 1)),
                "{from} b\"{shown}\": {:?} {told}",
                output.status
            );
            assert!(!told.contains("panicked"), "{from} b\"{shown}\": {told}");
        }
    }
}
