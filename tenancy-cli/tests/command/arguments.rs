//! Help, completions and manual pages.

use std::fs;

use anyhow::ensure;

use crate::stand::run;

const COMMANDS: &[&[&str]] = &[
    &[],
    &["tenant", "list"],
    &["tenant", "show"],
    &["tenant", "create"],
    &["tenant", "rename"],
    &["tenant", "set-slug"],
    &["tenant", "suspend"],
    &["tenant", "resume"],
    &["tenant", "past-due"],
    &["tenant", "close"],
    &["tenant", "bind"],
    &["tenant", "unbind"],
    &["member", "list"],
    &["member", "add"],
    &["member", "change-role"],
    &["member", "suspend"],
    &["member", "resume"],
    &["member", "remove"],
    &["invite", "send"],
    &["invite", "list"],
    &["invite", "resend"],
    &["invite", "withdraw"],
    &["role", "list"],
    &["role", "define"],
    &["role", "remove"],
    &["role", "explain"],
    &["key", "list"],
    &["key", "rename"],
    &["key", "disable"],
    &["key", "enable"],
    &["key", "revoke"],
    &["key", "revoke-all"],
    &["plan", "list"],
    &["plan", "show"],
    &["plan", "put"],
    &["plan", "assign"],
    &["quota", "show"],
    &["quota", "override"],
    &["quota", "clear"],
    &["audit", "verify"],
    &["audit", "anchor"],
    &["audit", "export"],
    &["audit", "tail"],
    &["audit", "seal"],
    &["audit", "prune"],
    &["audit", "erase"],
    &["adopt", "code"],
    &["check"],
    &["install"],
    &["completions"],
    &["man"],
];

#[test]
fn each_help_has_an_example() -> anyhow::Result<()> {
    for command in COMMANDS {
        let help = run(&[command, &["--help"][..]].concat())?.ends_with(0)?;
        ensure!(help.out.contains("Example"), "{command:?}: {help:?}");
        let line = format!("tenancy {}", command.join(" "));
        ensure!(help.out.contains(line.trim()), "{command:?}: {help:?}");
        ensure!(!help.out.contains('\u{1b}'), "{help:?}");
    }
    let help = run(&["--help"])?.ends_with(0)?;
    ensure!(help.out.contains("Exit codes:"), "{help:?}");
    ensure!(
        run(&["--version"])?
            .ends_with(0)?
            .out
            .starts_with("tenancy ")
    );
    for wrong in [
        &["audit"][..],
        &["audit", "verify"],
        &["verify"],
        &["audit", "export", "--all", "--tenant", "x"],
    ] {
        let wrong = run(wrong)?.ends_with(2)?;
        ensure!(wrong.out.is_empty() && !wrong.err.is_empty(), "{wrong:?}");
    }
    Ok(())
}

#[test]
fn shells_get_completions() -> anyhow::Result<()> {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&["completions", shell])?.ends_with(0)?;
        for word in ["verify", "anchors-from-database", "erase", "past-due"] {
            ensure!(script.out.contains(word), "{shell} knows no {word}");
        }
    }
    run(&["completions", "dos"])?.ends_with(2)?;
    Ok(())
}

#[test]
fn manual_pages_are_printed_and_written() -> anyhow::Result<()> {
    let page = run(&["man"])?.ends_with(0)?;
    ensure!(page.out.contains(".TH tenancy 1"), "{page:?}");
    let folder = tempfile::tempdir()?;
    let path = folder.path().display().to_string();
    run(&["man", &path])?.ends_with(0)?;
    let verify = fs::read_to_string(folder.path().join("tenancy-audit-verify.1"))?;
    ensure!(verify.contains("Exit codes"), "{verify}");
    let nowhere = run(&["man", &format!("{path}/nowhere")])?.ends_with(2)?;
    ensure!(nowhere.err.contains("nowhere"), "{nowhere:?}");
    Ok(())
}
