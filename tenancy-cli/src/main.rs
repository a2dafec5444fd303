//! The command `tenancy`: what operators of a service do from a shell, a cron job or CI.
//!
//! `docs/command.md` is its manual. A command is a file of its own. One place [connects](connect), one says
//! [who acts](who), and one [prints](output).

mod adopt;
mod arguments;
mod audit;
mod check;
mod completions;
mod connect;
mod declared;
mod failure;
mod install;
mod interrupted;
mod invite;
mod key;
mod man;
mod managing;
mod member;
mod moment;
mod output;
mod plan;
mod protect;
mod quota;
mod role;
mod secrets;
mod table;
mod tenant;
mod unprotect;
mod usage;
mod who;
mod written;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _, error::ErrorKind};
use tracing_subscriber::EnvFilter;

use arguments::{Arguments, Command};
use failure::{Failure, Verdict};
use output::Output;

/// The name of the variable that turns the log on, with a filter of `tracing`.
const LOG: &str = "TENANCY_LOG";

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(told) => return refused(&told),
    };
    log();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            output::complain(&format!("error: there is no runtime: {error}"));
            return ExitCode::from(failure::FAILED);
        }
    };
    let code = runtime.block_on(run(arguments));
    // A write that nobody reads is not waited for.
    runtime.shutdown_background();
    ExitCode::from(code)
}

async fn run(arguments: Arguments) -> u8 {
    let mut output = Output::new(arguments.command.format(), arguments.global.quiet);
    let mut command = Arguments::command();
    let done = match arguments.command {
        Command::Audit(audit) => audit.run(&arguments.global, &mut output).await,
        Command::Check(check) => check.run(&arguments.global, &mut output).await,
        Command::Usage(usage) => usage.run(&arguments.global, &mut output).await,
        Command::Tenant(tenant) => tenant.run(&arguments.global, &mut output).await,
        Command::Member(member) => member.run(&arguments.global, &mut output).await,
        Command::Invite(invite) => invite.run(&arguments.global, &mut output).await,
        Command::Role(role) => role.run(&arguments.global, &mut output).await,
        Command::Key(key) => key.run(&arguments.global, &mut output).await,
        Command::Plan(plan) => plan.run(&arguments.global, &mut output).await,
        Command::Quota(quota) => quota.run(&arguments.global, &mut output).await,
        Command::Install(install) => install.run(&mut output).await,
        Command::Adopt(adopt) => adopt.run(&mut output).await,
        Command::Protect(protect) => protect.run(&mut output).await,
        Command::Unprotect(unprotect) => unprotect.run(&mut output).await,
        Command::Completions(completions) => completions.run(&mut command, &mut output).await,
        Command::Man(man) => man.run(command, &mut output).await,
    };
    match done {
        Ok(Verdict::Done) | Err(Failure::ClosedPipe) => failure::DONE,
        Ok(Verdict::Fault) => failure::FAULT,
        Err(Failure::Told(message)) => {
            output.fail(&message);
            failure::FAILED
        }
    }
}

/// Prints what is wrong with the arguments, or the help that was asked for.
fn refused(told: &clap::Error) -> ExitCode {
    let is_asked = matches!(
        told.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    );
    if is_asked {
        // A reader who has gone wants no help.
        let _ = told.print();
        return ExitCode::from(failure::DONE);
    }
    let text = told.render();
    let text = if output::colours(&std::io::stderr()) {
        text.ansi().to_string()
    } else {
        text.to_string()
    };
    output::complain(secrets::hidden(&text).trim_end());
    ExitCode::from(failure::FAILED)
}

/// The log of the library goes to standard error, and only if it is asked for.
fn log() {
    let Ok(filter) = std::env::var(LOG) else {
        return;
    };
    // The driver repeats parameters of a URL that it does not know, whatever they are.
    let quiet = "sqlx_postgres::options=off".parse();
    let (Ok(filter), Ok(quiet)) = (EnvFilter::try_new(filter), quiet) else {
        output::complain(&format!(
            "warning: {LOG} is no filter, and nothing is logged"
        ));
        return;
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter.add_directive(quiet))
        .with_ansi(output::colours(&std::io::stderr()))
        .with_writer(std::io::stderr)
        .init();
}
